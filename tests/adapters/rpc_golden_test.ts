/** The conversation of a real manager with the original agent, recorded in `tests/testbed/golden`, with our agent in it. */
import assert from "node:assert/strict";
import { type MethodTable, methodTable } from "../../adapters/rpc/methods.ts";
import { bindParameters } from "../../adapters/rpc/parameters.ts";
import { parseContainerId, parseKernelId, parseRunId } from "../../domain/ids.ts";
import { INTRINSIC_SERVICES, parseServicePorts } from "../../domain/image/service_ports.ts";
import type { RunReport } from "../../domain/kernel/run_queue.ts";
import { FakeAgentService } from "./fake_agent_service.ts";

interface Line {
  readonly kind: "call" | "reply" | "event";
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
  readonly value: unknown;
  readonly error?: boolean;
}

const TRACE = new URL("../testbed/golden/trace-original.jsonl", import.meta.url);
const lines = Deno.readTextFileSync(TRACE).trim().split("\n").map((line) => JSON.parse(line) as Line); // as recorded
const calls = lines.filter((line) => line.kind === "call");
const replyOf = (call: Line) => lines.find((line) => line.kind === "reply" && line.id === call.id);

/** Passes a recorded call through parameters and method as the server does. */
async function answer(table: MethodTable, { method, args }: Line): Promise<unknown> {
  const known = table.get(method);
  assert.ok(known, `there is no method ${method}`);
  return await known.call(bindParameters(known.parameters, { method, args, kwargs: {} }), new AbortController().signal);
}

Deno.test("methodTable() takes every recorded call of a real manager that is served now", async () => {
  const agent = new FakeAgentService();
  agent.knownKernel = parseKernelId(calls[0]?.args[0]);
  const table = methodTable(agent);
  const served = ["create_kernel", "execute", "get_logs", "interrupt_kernel", "destroy_kernel", "refresh_idle"];
  const taken = calls.filter(({ method }) => served.includes(method));
  for (const call of taken) await answer(table, call);
  assert.equal(agent.calls.length, taken.length);
  assert.ok(taken.length >= 15, "the recording is not empty");
});

Deno.test("[01 §11.3] creationReply() has the shape of the recorded reply, apart from 01-D13", async () => {
  const create = calls.find(({ method }) => method === "create_kernel");
  assert.ok(create);
  const recorded = replyOf(create)?.value as Record<string, Record<string, unknown>>; // a creation reply is a map
  const agent = new FakeAgentService();
  agent.behaviour.createKernel = (request) => {
    const services = [...INTRINSIC_SERVICES, ...parseServicePorts("web:http:8070")];
    return Promise.resolve({
      kernelId: request.kernelId,
      kernelHost: "127.0.0.1",
      replInPort: 30720,
      replOutPort: 30721,
      services: services.map((service, i) => ({ ...service, hostPorts: [30722 + i] })),
      containerId: parseContainerId(recorded["container_id"]),
      slots: request.slots,
      allocation: new Map([["mem", new Map([["root", 268435456n]])], ["cpu", new Map([["0", 1_000_000n]])]]),
      idleTimeoutS: request.idleTimeoutS,
      mounts: [],
    });
  };
  const { slots: _, ...spec } = recorded["resource_spec"] ?? {};
  const wanted = { ...recorded, resource_spec: { ...spec, slots: { cpu: "1", mem: "268435456" } } };
  assert.deepEqual(await answer(methodTable(agent), create), wanted);
});

Deno.test("[01 §11.9] runReply() gives every recorded run reply back as it was, in the order of its keys", async () => {
  let seen = 0;
  for (const call of calls.filter(({ method }) => method === "execute")) {
    const recorded = replyOf(call)?.value as Record<string, unknown>; // a run reply is a map
    const agent = new FakeAgentService();
    agent.behaviour.execute = () => Promise.resolve(reportOf(recorded));
    assert.equal(JSON.stringify(await answer(methodTable(agent), call)), JSON.stringify(recorded));
    seen++;
  }
  assert.ok(seen >= 9, "the recording has runs");
});

Deno.test("[01 §5] every recorded kernel id is one that parseKernelId() keeps as it is", () => {
  for (const { args } of calls) assert.equal(parseKernelId(args[0]), args[0]);
});

function reportOf(recorded: Record<string, unknown>): RunReport {
  const { runId, status, exitCode, options, console } = recorded;
  return {
    runId: parseRunId(runId),
    status: status as RunReport["status"], // what the original sent
    exitCode: exitCode as number | null,
    options: options as RunReport["options"],
    output: { console } as RunReport["output"],
  };
}

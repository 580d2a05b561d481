import assert from "node:assert/strict";
import { FakeConfigStore } from "../../adapters/fake/config_store.ts";
import { KernelNotFound } from "../../domain/errors.ts";
import { folderMounts, mountText } from "../../src/app/folder_mounts.ts";
import { NodePresence } from "../../src/app/node_presence.ts";
import { KERNEL, kernelRequest, never } from "./kernel_request.ts";
import { AGENT_ID, makeAgent, now } from "./make_agent.ts";

const QUERY = {
  kernelId: KERNEL,
  runId: null,
  apiVersion: 3,
  mode: "query",
  code: "1",
  options: {},
  flushTimeoutMs: 0,
} as const;

Deno.test("Agent refuses calls to a kernel in creation, and does not take it for ended", async () => {
  const test = makeAgent();
  const refused: Promise<unknown>[] = [];
  test.steps.before = (step) => {
    if (step !== "scratch.writeRecord") return;
    refused.push(assert.rejects(test.agent.execute(QUERY, never), KernelNotFound));
    refused.push(assert.rejects(test.agent.getLogs(KERNEL, never), KernelNotFound));
    assert.throws(() => test.agent.interruptKernel(KERNEL), KernelNotFound);
    test.agent.touch(KERNEL);
  };
  await test.agent.createKernel(kernelRequest(), never);
  await Promise.all(refused);
  assert.equal(refused.length, 2);
  assert.deepEqual(test.told, ["kernel_preparing", "kernel_creating", "kernel_started"]);
});

Deno.test("Agent.execute() and interruptKernel() reach the kernel's runner", async () => {
  const { agent, world } = makeAgent();
  const { replInPort } = await agent.createKernel(kernelRequest(), never);
  await now(agent.execute(QUERY, never));
  agent.interruptKernel(KERNEL);
  await now(Promise.resolve());
  const { commands } = world.runners.runner({ commandPort: replInPort });
  assert.deepEqual(commands, [{ kind: "code", text: "1" }, { kind: "interrupt" }]);
});

Deno.test("[04-7.4] folderMounts() leaves out the parts of the path that are blank", () => {
  const { mounts } = kernelRequest();
  const request = { mounts: mounts.slice(0, 1), preventFolderMounts: false };
  const [plain] = folderMounts(request, { base: "/mnt", prefix: "" });
  assert.equal(plain && mountText(plain), "/mnt/local/0123456789abcdef0123456789abcdef:/home/work/data:rw");
});

Deno.test("[03-4] NodePresence says that the node starts, and has no watcher where there is none", async () => {
  const store = new FakeConfigStore();
  const presence = new NodePresence({ store, agentId: AGENT_ID, ip: "10.0.0.7", watcherPort: undefined });
  await presence.starting(never);
  assert.deepEqual([...store.values.global], [["nodes/agents/i-test/", "starting"]]);
  await presence.announce(never);
  assert.deepEqual(Object.fromEntries(store.values.global), {
    "nodes/agents/i-test/": "running",
    "nodes/agents/i-test/ip": "10.0.0.7",
  });
});

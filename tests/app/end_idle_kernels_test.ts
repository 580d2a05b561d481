import assert from "node:assert/strict";
import type { ExecuteRequest } from "../../src/app/agent_service.ts";
import { KERNEL, kernelRequest, never } from "./kernel_request.ts";
import { assertNothingHeld, makeAgent, now, settle } from "./make_agent.ts";

const IDLE_MS = 600_000;
const ENDED = "kernel_terminated idle-timeout 137";

async function makeRunning(idleTimeoutS = IDLE_MS / 1_000) {
  const test = makeAgent();
  const { replInPort } = await test.agent.createKernel(kernelRequest({ idleTimeoutS }), never);
  await settle();
  return { ...test, test, runner: test.world.runners.runner({ commandPort: replInPort }) };
}

function query(mode: ExecuteRequest["mode"] = "query"): ExecuteRequest {
  const runId = "run" as ExecuteRequest["runId"]; // a valid run id
  return { kernelId: KERNEL, runId, apiVersion: 3, mode, code: "", options: {}, flushTimeoutMs: 0 };
}

Deno.test("[04-12] a kernel ends when it was not used for more than its idle time", async () => {
  const { test, clock, idle, table } = await makeRunning();
  await clock.advance(IDLE_MS);
  idle.execute(never);
  assert.ok(table.running(KERNEL));
  await clock.advance(1);
  idle.execute(never);
  await settle();
  assertNothingHeld(test);
  assert.equal(test.told.at(-1), ENDED);
});

Deno.test("[04-12] a kernel with an idle time of 0 never ends for it", async () => {
  const { clock, idle, table } = await makeRunning(0);
  await clock.advance(100 * IDLE_MS);
  idle.execute(never);
  assert.ok(table.running(KERNEL));
});

Deno.test("[04-12] every call to a kernel counts as use", async () => {
  const uses = ["touch", "interrupt", "logs", "execute"] as const;
  for (const use of uses) {
    const { agent, clock, idle, table, runner } = await makeRunning();
    await clock.advance(IDLE_MS);
    if (use === "touch") agent.touch(KERNEL);
    if (use === "interrupt") agent.interruptKernel(KERNEL);
    if (use === "logs") await agent.getLogs(KERNEL, never);
    if (use === "execute") await agent.execute(query(), never);
    runner.emit({ kind: "finished", exitCode: 0 });
    await clock.advance(IDLE_MS);
    idle.execute(never);
    assert.ok(table.running(KERNEL), use);
  }
});

Deno.test("[04-D25] a run under way is use, asked for or not, until it has finished", async () => {
  const { test, agent, clock, idle, table, runner } = await makeRunning();
  await now(agent.execute(query(), never));
  for (let i = 0; i < 3; i++) {
    await clock.advance(IDLE_MS);
    idle.execute(never);
    assert.ok(table.running(KERNEL));
  }
  runner.emit({ kind: "finished", exitCode: 0 });
  await clock.advance(IDLE_MS + 1);
  idle.execute(never);
  await settle();
  assert.equal(test.told.at(-1), ENDED);
});

Deno.test("[04-D24] a kernel that is being ended for idleness is not ended again by the next check", async () => {
  const { test, clock, idle, world, log } = await makeRunning();
  world.engine.reachable = false;
  test.fakes.meter.kernel = () => new Promise(() => {});
  for (let i = 0; i < 40; i++) {
    await clock.advance(i === 0 ? IDLE_MS + 1 : 1_000);
    idle.execute(never);
  }
  world.engine.reachable = true;
  await clock.advance(60_000);
  assertNothingHeld(test);
  assert.deepEqual(test.told.slice(3), [ENDED]);
  assert.equal(log.messages("info").filter((message) => message.includes("idle")).length, 1);
});

Deno.test("[04-12] a wall clock that jumps ends no kernel", async () => {
  const { clock, idle, table } = await makeRunning();
  clock.jump(100 * IDLE_MS);
  idle.execute(never);
  assert.ok(table.running(KERNEL));
});

import assert from "node:assert/strict";
import { DeadlineExceeded, KernelNotFound, RuntimeFailed } from "../../domain/errors.ts";
import { COUNT } from "../../domain/resource/slots.ts";
import { GIB, KERNEL, kernelId, kernelRequest, never } from "./kernel_request.ts";
import {
  type AgentOptions,
  assertNothingHeld,
  following,
  holdings,
  makeAgent,
  now,
  settle,
  type TestAgent,
} from "./make_agent.ts";

const CREATED = ["kernel_preparing", "kernel_creating", "kernel_started"];

async function makeRunning(options: AgentOptions = {}) {
  const test = makeAgent(options);
  const created = await test.agent.createKernel(kernelRequest(), never);
  await settle();
  return { test, created };
}

function destroy({ agent }: Pick<TestAgent, "agent">, id = KERNEL) {
  return agent.destroyKernel(id, "user-requested", never);
}

Deno.test("EndKernel.destroy() kills the kernel, answers with its last statistics and cleans up", async () => {
  const { test, created } = await makeRunning();
  test.fakes.meter.kernels.set(created.containerId, {
    cpuNs: 7_000_000n,
    memoryBytes: 5n,
    ioReadBytes: 0n,
    ioWriteBytes: 0n,
    scratchBytes: 0n,
  });
  const metrics = await now(destroy(test));
  assert.equal(metrics?.["cpu_used"]?.current, "7");
  await settle();
  assertNothingHeld(test);
  assert.deepEqual(test.told, [...CREATED, "kernel_terminated user-requested 137"]);
});

Deno.test("EndKernel.destroy() answers null when there are no statistics", async () => {
  const { test, created } = await makeRunning();
  const kernel = test.table.running(KERNEL);
  kernel.metrics = undefined;
  test.fakes.meter.kernels.delete(created.containerId);
  assert.equal(await now(destroy(test)), null);
});

Deno.test("EndKernel.destroy() does not wait for counters that nobody answers for", async () => {
  const { test } = await makeRunning();
  test.fakes.meter.kernel = () => new Promise(() => {});
  const destroyed = destroy(test);
  await test.clock.advance(5_000);
  await now(destroyed);
  await settle();
  assertNothingHeld(test);
});

Deno.test("EndKernel.destroy() works while the statistics store is out", async () => {
  const { test } = await makeRunning();
  test.fakes.store.reachable = false;
  await now(destroy(test));
  await settle();
  assertNothingHeld(test);
});

Deno.test("EndKernel.destroy() refuses further calls to the kernel at once", async () => {
  const { test } = await makeRunning();
  const destroyed = destroy(test);
  assert.throws(() => test.agent.interruptKernel(KERNEL), KernelNotFound);
  await destroyed;
});

Deno.test("[04-D38] EndKernel releases container, ports, slots and scratch in this order, and tells the end last", async () => {
  const { test } = await makeRunning();
  const before: Record<string, ReturnType<typeof holdings>> = {};
  test.steps.before = (step) => before[step] ??= holdings(test);
  await now(destroy(test));
  await settle();
  const free = { freeCores: 4_000_000n, freeMemory: 8n * 1024n ** 3n, freePorts: 100 };
  assert.equal(before["runtime.kill"]?.channels, 0, "calls under way end first");
  assert.deepEqual(before["runtime.remove"], {
    ...holdings(test),
    freeCores: 2_000_000n,
    freeMemory: 7n * 1024n ** 3n,
    freePorts: 93,
    kernels: 1,
    scratches: 1,
    containers: 1,
  });
  for (const step of ["scratch.clear", "statistics.put", "sink.publish", "scratch.remove"]) {
    assert.deepEqual(before[step], { ...free, kernels: 1, channels: 0, scratches: 1, containers: 0 }, step);
  }
  const order = test.steps.taken.filter((step) => /^(scratch|sink)\./.test(step));
  assert.deepEqual(order.slice(-3), ["scratch.clear", "sink.publish", "scratch.remove"]);
  assertNothingHeld(test);
});

Deno.test("[02-6] EndKernel writes the last statistics before it tells the end", async () => {
  const { test } = await makeRunning();
  await test.clock.advance(60_000); // what was written at the start has expired
  assert.equal(test.fakes.store.kernel(KERNEL), undefined);
  let atTheEnd: unknown;
  test.steps.before = (step) => {
    if (step === "sink.publish") atTheEnd = test.fakes.store.kernel(KERNEL);
  };
  await now(destroy(test));
  await settle();
  assert.ok(atTheEnd);
});

Deno.test("[02-D2] EndKernel tells one end for repeated destroys, at once and later", async () => {
  const { test } = await makeRunning();
  await using _loop = await following(test);
  await now(Promise.all([destroy(test), destroy(test), destroy(test)]));
  await settle();
  await now(destroy(test));
  await test.observer.reconcile(never);
  await settle();
  assert.deepEqual(test.told, [...CREATED, "kernel_terminated user-requested 137"]);
  assertNothingHeld(test);
});

Deno.test("[02-D2] EndKernel tells the end of a kernel that is not here, once", async () => {
  const test = makeAgent();
  assert.equal(await now(destroy(test)), null);
  assert.equal(await now(destroy(test)), null);
  await assert.rejects(() => Promise.resolve(test.agent.getLogs(KERNEL, never)), KernelNotFound);
  await settle();
  assert.deepEqual(test.told, ["kernel_terminated user-requested null"]);
});

Deno.test("[01-D10] a call for a kernel that is not here fails, and tells its end once", async () => {
  const test = makeAgent();
  for (let i = 0; i < 3; i++) assert.throws(() => test.agent.interruptKernel(KERNEL), KernelNotFound);
  test.agent.touch(KERNEL);
  await settle();
  assert.deepEqual(test.told, ["kernel_terminated self-terminated null"]);
});

Deno.test("[02-D2] EndKernel tells the end of a kernel whose creation failed if somebody destroys it all the same", async () => {
  const test = makeAgent({ faults: { runtime: { start: [new RuntimeFailed("start", 500, "boom")] } } });
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), RuntimeFailed);
  for (let i = 0; i < 2; i++) await now(destroy(test));
  await settle();
  assert.deepEqual(test.told, ["kernel_preparing", "kernel_creating", "kernel_terminated user-requested null"]);
});

Deno.test("EndKernel tells the end of a kernel each time that it has been created", async () => {
  const { test } = await makeRunning();
  await now(destroy(test));
  await settle();
  await test.agent.createKernel(kernelRequest(), never);
  await now(destroy(test));
  await settle();
  const life = [...CREATED, "kernel_terminated user-requested 137"];
  assert.deepEqual(test.told, [...life, ...life]);
});

Deno.test("EndKernel cleans up after a kernel that ended by itself, with its exit code", async () => {
  const { test, created } = await makeRunning();
  await using _loop = await following(test);
  test.fakes.runtime.die(created.containerId, 3);
  await settle();
  assertNothingHeld(test);
  assert.deepEqual(test.told, [...CREATED, "kernel_terminated self-terminated 3"]);
});

Deno.test("EndKernel.destroy() of a kernel that is ending by itself waits for its end", async () => {
  const { test, created } = await makeRunning({
    faults: { runtime: { remove: [new RuntimeFailed("remove", 500, "busy")] } },
  });
  await using _loop = await following(test);
  test.fakes.runtime.die(created.containerId, 3);
  await settle();
  const destroyed = destroy(test).then(() => assert.equal(test.world.engine.containers.size, 0));
  await test.clock.advance(500);
  await now(destroyed);
  assertNothingHeld(test);
  assert.deepEqual(test.told, [...CREATED, "kernel_terminated self-terminated 3"]);
});

Deno.test("EndKernel ends a kernel when the event stream says nothing about it", async () => {
  const { test } = await makeRunning(); // nobody follows
  await now(destroy(test));
  await settle();
  assertNothingHeld(test);
});

Deno.test("EndKernel.destroy() gives up waiting for an engine that is out; the kill goes on until it works", async () => {
  const { test } = await makeRunning();
  test.world.engine.reachable = false;
  const destroyed = assert.rejects(destroy(test), DeadlineExceeded);
  await test.clock.advance(20_000);
  await now(destroyed);
  assert.equal(holdings(test).freePorts, 93, "what the container may still use is not given to others");
  const again = destroy(test);
  test.world.engine.reachable = true;
  await test.clock.advance(20_000);
  await now(again);
  await settle();
  assertNothingHeld(test);
  assert.deepEqual(test.told, [...CREATED, "kernel_terminated user-requested 137"]);
});

Deno.test("EndKernel.destroy() ends with its caller's signal, the kill goes on", async () => {
  const { test } = await makeRunning();
  test.world.engine.reachable = false;
  const caller = new AbortController();
  const destroyed = test.agent.destroyKernel(KERNEL, "user-requested", caller.signal);
  caller.abort(new Error("gone"));
  await assert.rejects(destroyed, /gone/);
  test.world.engine.reachable = true;
  await test.clock.advance(20_000);
  assertNothingHeld(test);
});

Deno.test("[04-D38] EndKernel needs no event store to end a kernel; the store hears of it later", async () => {
  const { test } = await makeRunning();
  test.fakes.sink.reachable = false;
  await now(destroy(test));
  await test.clock.advance(60_000);
  const { freeCores, freePorts, containers } = holdings(test);
  assert.deepEqual([freeCores, freePorts, containers], [4_000_000n, 100, 0]);
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), { code: "kernel_exists" });
  assert.deepEqual(test.told, CREATED);
  test.fakes.sink.reachable = true;
  await test.clock.advance(5_000);
  assertNothingHeld(test);
  assert.deepEqual(test.told, [...CREATED, "kernel_terminated user-requested 137"]);
});

for (const step of ["remove container", "clear scratch"]) {
  Deno.test(`EndKernel tries again when it cannot ${step}, and tells nothing before`, async () => {
    const error = new Error("busy");
    const faults = step === "clear scratch"
      ? { scratch: { clear: [error, error] } }
      : { runtime: { remove: [error, error] } };
    const { test } = await makeRunning({ faults });
    await now(destroy(test));
    await settle();
    assert.deepEqual(test.told, CREATED);
    await test.clock.advance(2_000);
    assertNothingHeld(test);
    assert.deepEqual(test.told, [...CREATED, "kernel_terminated user-requested 137"]);
  });
}

Deno.test("EndKernel tells the end even if the scratch directory can never be removed", async () => {
  const { test } = await makeRunning();
  test.fakes.scratch.clear = () => Promise.reject(new Error("immutable"));
  test.fakes.scratch.remove = () => Promise.reject(new Error("immutable"));
  await now(destroy(test));
  await test.clock.advance(60_000);
  assert.deepEqual(test.told, [...CREATED, "kernel_terminated user-requested 137"]);
  assert.deepEqual([holdings(test).kernels, holdings(test).scratches], [0, 1]);
  assert.deepEqual(test.log.messages("error"), ["cannot clear scratch", "cannot remove scratch"]);
});

Deno.test("EndKernel does not end a kernel for the late death notice of an earlier one of the same id", async () => {
  const { test, created } = await makeRunning();
  await now(destroy(test));
  await settle();
  const loop = await following(test);
  test.steps.before = (step) => {
    if (step !== "runtime.create") return;
    for (const watcher of test.world.engine.watchers) {
      watcher.deaths.push({ id: created.containerId, kernelId: KERNEL, exitCode: 137 });
      watcher.wake();
    }
  };
  await test.agent.createKernel(kernelRequest(), never);
  await settle();
  assert.ok(test.table.running(KERNEL));
  await loop[Symbol.asyncDispose]();
});

Deno.test("[01-D16] Agent.destroyAll() ends every kernel, those in creation too; a failure of one keeps no other", async () => {
  const slots = new Map([["cpu", COUNT], ["mem", GIB]]);
  const { test } = await makeRunning();
  await test.agent.createKernel(kernelRequest({ kernelId: kernelId(2), slots }), never);
  let all: Promise<void> | undefined;
  test.steps.before = (step) => {
    if (step === "scratch.create") all = test.agent.destroyAll("agent-reset", never);
    if (step === "runtime.kill" && test.steps.taken.filter((it) => it === step).length === 1) throw new Error("busy");
  };
  await assert.rejects(test.agent.createKernel(kernelRequest({ kernelId: kernelId(3), slots }), never));
  await test.clock.advance(20_000);
  await all;
  assertNothingHeld(test);
  const ends = test.told.filter((text) => text.startsWith("kernel_terminated")).sort();
  assert.deepEqual(ends, [
    "kernel_terminated agent-reset 137",
    "kernel_terminated agent-reset 137",
    "kernel_terminated agent-reset null",
  ]);
});

Deno.test("Agent.getLogs() gives the tail of the console, at most 1 MiB", async () => {
  const { test, created } = await makeRunning();
  test.fakes.runtime.print(created.containerId, `${"x".repeat(2 ** 20)}the end`);
  const text = await test.agent.getLogs(KERNEL, never);
  assert.deepEqual([text.length, text.slice(-8)], [2 ** 20, "xthe end"]);
});

Deno.test("Agent.getLogs() gives up on an engine that does not answer", async () => {
  const { test } = await makeRunning();
  test.fakes.runtime.logs = () => new Promise(() => {});
  const logs = assert.rejects(test.agent.getLogs(KERNEL, never), DeadlineExceeded);
  await test.clock.advance(30_000);
  await now(logs);
});

import assert from "node:assert/strict";
import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { KernelUsage } from "../../domain/stats/metrics.ts";
import { KERNEL, kernelId, kernelRequest, never } from "./kernel_request.ts";
import { makeAgent, now, settle, type TestAgent } from "./make_agent.ts";

const OTHER = kernelId(2);
const USAGE: KernelUsage = { cpuNs: 0n, memoryBytes: 1n, ioReadBytes: 0n, ioWriteBytes: 0n, scratchBytes: 0n };

async function makeTwoKernels() {
  const test = makeAgent();
  const first = await test.agent.createKernel(kernelRequest(), never);
  const second = await test.agent.createKernel(kernelRequest({ kernelId: OTHER }), never);
  await settle();
  await test.clock.advance(60_000); // what was stored at the start has expired
  return { test, containers: [first.containerId, second.containerId] as const };
}

/** Two rounds, 2 s apart: the first one only begins the count of the node (03-D8). */
async function collectTwice(test: TestAgent): Promise<void> {
  await now(test.statistics.collect(never));
  await test.clock.advance(2_000);
  await now(test.statistics.collect(never));
}

function syncs(test: TestAgent) {
  return test.fakes.sink.events.flatMap((it) => it.kind === "kernel_stat_sync" ? [it.kernelId] : []);
}

Deno.test("[03-10] CollectStatistics stores the node and every running kernel", async () => {
  const { test, containers } = await makeTwoKernels();
  test.fakes.meter.kernels.set(containers[0], { ...USAGE, memoryBytes: 7n });
  await collectTwice(test);
  const { store } = test.fakes;
  assert.equal(store.node?.node["mem"]?.current, String(1n << 30n));
  assert.equal(store.kernel(KERNEL)?.["mem"]?.current, "7");
  assert.equal(store.kernel(OTHER)?.["mem"]?.current, "4096");
});

Deno.test("[03-D12] CollectStatistics stores nothing of a kernel of which a counter cannot be read", async () => {
  const { test, containers } = await makeTwoKernels();
  const kernel = test.table.running(KERNEL);
  kernel.metrics = undefined;
  test.fakes.meter.kernels.set(containers[0], { cpuNs: 1n });
  await collectTwice(test);
  assert.equal(test.fakes.store.kernel(KERNEL), undefined);
  assert.ok(test.fakes.store.kernel(OTHER));
});

Deno.test("CollectStatistics goes on with the others when one kernel cannot be read, or does not answer", async () => {
  const { test } = await makeTwoKernels();
  const read = test.fakes.meter.kernel.bind(test.fakes.meter);
  for (const trouble of [() => Promise.reject(new Error("boom")), () => new Promise<never>(() => {})]) {
    test.fakes.meter.kernel = (id, ...rest) => id === KERNEL ? trouble() : read(id, ...rest);
    await test.clock.advance(60_000);
    const collected = test.statistics.collect(never);
    await test.clock.advance(5_000);
    await now(collected);
    assert.ok(test.fakes.store.kernel(OTHER));
  }
  assert.equal(test.log.messages("warn").length, 2);
});

Deno.test("CollectStatistics stores the kernels even when the node cannot be read", async () => {
  const { test } = await makeTwoKernels();
  test.fakes.meter.node = () => Promise.reject(new Error("boom"));
  await now(test.statistics.collect(never));
  assert.ok(test.fakes.store.kernel(KERNEL));
});

Deno.test("[02-D3] CollectStatistics has the manager copy each kernel's statistics every 10 s, once they are stored", async () => {
  const { test } = await makeTwoKernels();
  for (let i = 0; i < 11; i++) {
    await now(test.statistics.collect(never));
    await test.clock.advance(2_000);
  }
  assert.deepEqual(syncs(test), [KERNEL, OTHER, KERNEL, OTHER, KERNEL, OTHER]);
});

Deno.test("[02-6] CollectStatistics says nothing of kernels whose statistics could not be stored", async () => {
  const { test } = await makeTwoKernels();
  test.fakes.store.reachable = false;
  await collectTwice(test);
  assert.deepEqual(syncs(test), []);
  assert.deepEqual(test.log.messages("warn"), ["statistics not stored"], "once an outage");
  test.fakes.store.reachable = true;
  await now(test.statistics.collect(never));
  assert.deepEqual(syncs(test), [KERNEL, OTHER]);
  test.fakes.store.reachable = false;
  await now(test.statistics.collect(never));
  assert.equal(test.log.messages("warn").length, 2);
});

Deno.test("CollectStatistics says nothing of a kernel that ended in the middle of the round", async () => {
  const { test } = await makeTwoKernels();
  test.steps.before = (step) => {
    if (step === "statistics.put") test.table.running(KERNEL).apply({ kind: "destroy-requested", reason: "r" });
    test.steps.before = step === "statistics.put" ? undefined : test.steps.before;
  };
  await now(test.statistics.collect(never));
  assert.deepEqual(syncs(test), [OTHER]);
});

Deno.test("CollectStatistics gives up a store that does not answer, and an event that is not taken", async () => {
  const { test } = await makeTwoKernels();
  test.fakes.store.put = () => new Promise(() => {});
  const collected = test.statistics.collect(never);
  await test.clock.advance(2_000);
  await now(collected);
  test.fakes.store.put = () => Promise.resolve();
  test.fakes.sink.faults.add("publish", new EventSinkUnavailable("publish"));
  await assert.rejects(now(test.statistics.collect(never)), EventSinkUnavailable);
});

Deno.test("CollectStatistics ends with its signal, and takes that for no failure", async () => {
  const { test } = await makeTwoKernels();
  const stop = new AbortController();
  test.fakes.meter.kernel = () => new Promise(() => {});
  const collected = assert.rejects(test.statistics.collect(stop.signal), /enough/);
  await settle();
  stop.abort(new Error("enough"));
  await now(collected);
  assert.deepEqual(test.log.messages("warn"), []);
});

Deno.test("[03-9] the statistics of a new kernel are stored as soon as it runs", async () => {
  const test = makeAgent();
  await test.agent.createKernel(kernelRequest(), never);
  await settle();
  assert.ok(test.fakes.store.kernel(KERNEL));
});

import assert from "node:assert/strict";
import { EventSinkUnavailable } from "../../domain/errors.ts";
import { type KernelId, parseKernelId } from "../../domain/ids.ts";
import type { KernelMetrics, Metric, NodeMetrics } from "../../domain/stats/metrics.ts";
import type { StatisticsStore } from "../../src/ports/statistics_store.ts";
import { type ContractCase, registerContract, within } from "./contract_case.ts";

export interface StatisticsHarness extends AsyncDisposable {
  readonly store: StatisticsStore;
  /** What the manager would read. */
  node(): Promise<unknown>;
  kernel(kernelId: KernelId): Promise<unknown>;
  /** How long the manager could still read the node's statistics, ms; 0 if it cannot. */
  nodeLifetimeMs(): Promise<number>;
  /** Makes the store unreachable until it is disposed of. */
  outage(): Promise<AsyncDisposable>;
}

export function statisticsStoreContract(
  name: string,
  make: () => Promise<StatisticsHarness>,
  options?: { outages?: boolean; ignore?: boolean },
): void {
  registerContract(STATISTICS_CASES, name, make, options);
}

const LIMIT_MS = 15_000;
const signal = new AbortController().signal;
const reason = new Error("the caller lost interest");
const first = parseKernelId("d5cf3a27-c8f4-4e2d-a2a4-41f0b6c1e2d3");
const second = parseKernelId("00000000-c8f4-4e2d-a2a4-41f0b6c1e2d3");
const none: ReadonlyMap<KernelId, KernelMetrics> = new Map();

function metric(current: string): Metric {
  return { current, capacity: null, pct: null, unit_hint: "bytes", "stats.max": current };
}

function kernelMetrics(current: string): KernelMetrics {
  return { mem: metric(current), io_read: metric("0") };
}

function nodeMetrics(current: string): NodeMetrics {
  return { node: { mem: metric(current) }, devices: { mem: { root: metric(current) } } };
}

export const STATISTICS_CASES: readonly ContractCase<StatisticsHarness>[] = [
  {
    name: "put() replaces the node's statistics",
    async run(make) {
      await using harness = await make();
      for (const current of ["1", "2"]) {
        await within(LIMIT_MS, harness.store.put(nodeMetrics(current), none, signal));
        assert.deepEqual(await harness.node(), nodeMetrics(current));
      }
    },
  },
  {
    name: "put() leaves the node's statistics alone when none are given",
    async run(make) {
      await using harness = await make();
      await harness.store.put(nodeMetrics("1"), none, signal);
      await harness.store.put(undefined, new Map([[first, kernelMetrics("2")]]), signal);
      await harness.store.put(undefined, none, signal);
      assert.deepEqual(await harness.node(), nodeMetrics("1"));
    },
  },
  {
    name: "put() replaces the statistics of the kernels named and leaves the others alone",
    async run(make) {
      await using harness = await make();
      await harness.store.put(undefined, new Map([[first, kernelMetrics("1")], [second, kernelMetrics("2")]]), signal);
      await harness.store.put(nodeMetrics("1"), new Map([[second, kernelMetrics("3")]]), signal);
      assert.deepEqual(await harness.kernel(first), kernelMetrics("1"));
      assert.deepEqual(await harness.kernel(second), kernelMetrics("3"));
    },
  },
  {
    name: "[03 §9] put() keeps statistics for 30 seconds",
    async run(make) {
      await using harness = await make();
      assert.equal(await harness.nodeLifetimeMs(), 0);
      await harness.store.put(nodeMetrics("1"), none, signal);
      const lifetimeMs = await harness.nodeLifetimeMs();
      assert.ok(lifetimeMs > 15_000 && lifetimeMs <= 30_000, `${lifetimeMs} ms`);
    },
  },
  {
    name: "put() throws the signal's reason if it is aborted, and writes nothing",
    async run(make) {
      await using harness = await make();
      const put = harness.store.put(nodeMetrics("1"), none, AbortSignal.abort(reason));
      await assert.rejects(within(LIMIT_MS, put), reason);
      assert.equal(await harness.node(), undefined);
    },
  },
  {
    name: "put() throws EventSinkUnavailable when the store does not answer in time, and works again after",
    outage: true,
    async run(make) {
      await using harness = await make();
      const outage = await harness.outage();
      await assert.rejects(within(LIMIT_MS, harness.store.put(nodeMetrics("1"), none, signal)), EventSinkUnavailable);
      await outage[Symbol.asyncDispose]();
      const put = () => harness.store.put(nodeMetrics("2"), none, signal).then(() => true, () => false);
      for (const deadline = Date.now() + LIMIT_MS; Date.now() < deadline;) if (await put()) break;
      assert.deepEqual(await harness.node(), nodeMetrics("2"));
    },
  },
  {
    name: "put() throws the signal's reason once it is aborted during an outage",
    outage: true,
    async run(make) {
      await using harness = await make();
      await using _outage = await harness.outage();
      const controller = new AbortController();
      const put = within(LIMIT_MS, harness.store.put(nodeMetrics("1"), none, controller.signal));
      const rejected = assert.rejects(put, reason);
      controller.abort(reason);
      await rejected;
    },
  },
];

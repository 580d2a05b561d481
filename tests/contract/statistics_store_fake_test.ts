import assert from "node:assert/strict";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { FakeStatisticsStore } from "../../adapters/fake/statistics_store.ts";
import type { KernelId } from "../../domain/ids.ts";
import type { KernelMetrics, NodeMetrics } from "../../domain/stats/metrics.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { failingCases } from "./contract_case.ts";
import { STATISTICS_CASES, type StatisticsHarness, statisticsStoreContract } from "./statistics_store.ts";

/** @param make the fake under test */
function harnessOf(make: (clock: Clock) => FakeStatisticsStore): () => Promise<StatisticsHarness> {
  // deno-lint-ignore require-await
  return async () => {
    const clock = new FakeClock();
    const store = make(clock);
    return {
      store,
      node: () => Promise.resolve(store.node),
      kernel: (kernelId) => Promise.resolve(store.kernel(kernelId)),
      async nodeLifetimeMs() {
        let lifetimeMs = 0;
        while (store.node !== undefined && lifetimeMs < 100_000) {
          await clock.advance(1000);
          lifetimeMs += 1000;
        }
        return lifetimeMs;
      },
      // deno-lint-ignore require-await
      async outage() {
        store.reachable = false;
        return {
          // deno-lint-ignore require-await
          async [Symbol.asyncDispose]() {
            store.reachable = true;
          },
        };
      },
      async [Symbol.asyncDispose]() {},
    };
  };
}

statisticsStoreContract("FakeStatisticsStore", harnessOf((clock) => new FakeStatisticsStore(clock)));

class NeverExpires extends FakeStatisticsStore {
  constructor() {
    super({ now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() });
  }
}

class ForgetsOtherKernels extends FakeStatisticsStore {
  #named: ReadonlySet<KernelId> = new Set();
  override async put(
    node: NodeMetrics | undefined,
    kernels: ReadonlyMap<KernelId, KernelMetrics>,
    signal: AbortSignal,
  ): Promise<void> {
    await super.put(node, kernels, signal);
    this.#named = new Set(kernels.keys());
  }
  override kernel(kernelId: KernelId): KernelMetrics | undefined {
    return this.#named.has(kernelId) ? super.kernel(kernelId) : undefined;
  }
}

class SwallowsFailures extends FakeStatisticsStore {
  override async put(
    node: NodeMetrics | undefined,
    kernels: ReadonlyMap<KernelId, KernelMetrics>,
    signal: AbortSignal,
  ): Promise<void> {
    await super.put(node, kernels, signal).catch(() => {});
  }
}

const MUTATIONS = {
  NeverExpires: () => new NeverExpires(),
  ForgetsOtherKernels: (clock: Clock) => new ForgetsOtherKernels(clock),
  SwallowsFailures: (clock: Clock) => new SwallowsFailures(clock),
};
for (const [name, make] of Object.entries(MUTATIONS)) {
  Deno.test(`statisticsStoreContract() finds the planted fault ${name}`, async () => {
    assert.notDeepEqual(await failingCases(STATISTICS_CASES, harnessOf(make)), []);
  });
}

import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { KernelId } from "../../domain/ids.ts";
import type { KernelMetrics, NodeMetrics } from "../../domain/stats/metrics.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { StatisticsStore } from "../../src/ports/statistics_store.ts";
import { FaultPlan } from "./fault_plan.ts";

const EXPIRY_MS = 30_000;

interface Entry<Metrics> {
  readonly metrics: Metrics;
  readonly expiresAtMs: number;
}

/** In-memory {@linkcode StatisticsStore}. Fault operation: `put`; a failed call takes nothing. */
export class FakeStatisticsStore implements StatisticsStore {
  readonly #clock: Clock;
  #node: Entry<NodeMetrics> | undefined;
  readonly #kernels = new Map<KernelId, Entry<KernelMetrics>>();
  /** While false every call fails. */
  reachable = true;

  constructor(clock: Clock, readonly faults: FaultPlan = new FaultPlan()) {
    this.#clock = clock;
  }

  /** What the manager would read now. */
  get node(): NodeMetrics | undefined {
    return this.#alive(this.#node);
  }

  kernel(kernelId: KernelId): KernelMetrics | undefined {
    return this.#alive(this.#kernels.get(kernelId));
  }

  async put(
    node: NodeMetrics | undefined,
    kernels: ReadonlyMap<KernelId, KernelMetrics>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    this.faults.next("put");
    if (!this.reachable) {
      await Promise.resolve(); // a store that is out answers late: the caller can lose interest first
      signal.throwIfAborted();
      throw new EventSinkUnavailable("write the statistics");
    }
    const expiresAtMs = this.#clock.monotonic() + EXPIRY_MS;
    if (node !== undefined) this.#node = { metrics: node, expiresAtMs };
    for (const [kernelId, metrics] of kernels) this.#kernels.set(kernelId, { metrics, expiresAtMs });
  }

  #alive<Metrics>(entry: Entry<Metrics> | undefined): Metrics | undefined {
    return entry !== undefined && this.#clock.monotonic() < entry.expiresAtMs ? entry.metrics : undefined;
  }
}

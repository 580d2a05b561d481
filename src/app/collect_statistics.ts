import { NodeMeter, type NodeMetrics } from "../../domain/stats/metrics.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventSink } from "../ports/event_sink.ts";
import type { Log } from "../ports/log.ts";
import type { StatisticsStore } from "../ports/statistics_store.ts";
import type { UsageMeter } from "../ports/usage_meter.ts";
import { withDeadline } from "./deadline.ts";
import type { Kernel } from "./kernel.ts";
import type { KernelTable } from "./kernel_table.ts";

const STORE_LIMIT_MS = 2_000;
/** A destroy waits this long for the last statistics at most (04 §13.1). */
const SAMPLE_LIMIT_MS = 5_000;
/** How often the manager is told to copy a kernel's statistics (02-D3). */
const SYNC_INTERVAL_MS = 10_000;

export interface CollectStatisticsDeps {
  readonly table: KernelTable;
  readonly meter: UsageMeter;
  readonly store: StatisticsStore;
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly log: Log;
}

/** One collector for the node and all kernels (03-D7). A round that fails is logged; the next one is 2 s away. */
export class CollectStatistics {
  readonly #deps: CollectStatisticsDeps;
  readonly #node = new NodeMeter();
  #lastSyncMs = Number.NEGATIVE_INFINITY;
  #storeDown = false;

  constructor(deps: CollectStatisticsDeps) {
    this.#deps = deps;
  }

  /** One round. */
  async collect(signal: AbortSignal): Promise<void> {
    const kernels = this.#deps.table.all().filter((kernel) => kernel.running);
    await Promise.all(kernels.map((kernel) => this.sample(kernel, signal)));
    const node = await this.#sampleNode(signal);
    const sampled = kernels.filter((kernel) => kernel.running);
    if (await this.#store(node, sampled, signal)) await this.#sync(sampled, signal);
  }

  /** Samples and stores one kernel now, as when it has just begun. Never throws. */
  async collectOne(kernel: Kernel, signal: AbortSignal): Promise<void> {
    await this.sample(kernel, signal);
    await this.keep(kernel);
  }

  /** Stores the newest statistics of one kernel, for the manager to copy when it hears of the end. Never throws. */
  async keep(kernel: Kernel): Promise<void> {
    await this.#store(undefined, [kernel], new AbortController().signal); // ended by the deadline alone
  }

  /** Brings the statistics of one kernel up to date, if it can be read. Never throws. */
  async sample(kernel: Kernel, signal: AbortSignal): Promise<void> {
    const { meter, clock } = this.#deps;
    const containerId = kernel.record?.containerId;
    if (containerId === undefined) return;
    const options = { attempt: `read the statistics of kernel "${kernel.id}"`, limitMs: SAMPLE_LIMIT_MS, signal };
    try {
      const usage = await withDeadline(clock, options, (limited) => meter.kernel(kernel.id, containerId, limited));
      if (usage !== undefined) kernel.metrics = kernel.meter.add(usage, clock.monotonic());
    } catch (error) {
      if (!signal.aborted) this.#deps.log.warn("kernel statistics not read", { kernelId: kernel.id, error });
    }
  }

  /** Undefined without a previous sample, and when the host cannot be read: the kernels do not depend on it. */
  async #sampleNode(signal: AbortSignal): Promise<NodeMetrics | undefined> {
    const { meter, clock, log } = this.#deps;
    const options = { attempt: "read the node's statistics", limitMs: SAMPLE_LIMIT_MS, signal };
    try {
      const usage = await withDeadline(clock, options, (limited) => meter.node(limited));
      return this.#node.add(usage, clock.monotonic());
    } catch (error) {
      signal.throwIfAborted();
      log.warn("node statistics not read", { error });
      return undefined;
    }
  }

  async #store(node: NodeMetrics | undefined, kernels: readonly Kernel[], signal: AbortSignal): Promise<boolean> {
    const metrics = new Map(kernels.flatMap((kernel) => kernel.metrics ? [[kernel.id, kernel.metrics]] as const : []));
    if (node === undefined && metrics.size === 0) return true;
    const options = { attempt: "store statistics", limitMs: STORE_LIMIT_MS, signal };
    try {
      await withDeadline(this.#deps.clock, options, (limited) => this.#deps.store.put(node, metrics, limited));
      this.#storeDown = false;
      return true;
    } catch (error) {
      if (!this.#storeDown && !signal.aborted) this.#deps.log.warn("statistics not stored", { error });
      this.#storeDown = true; // said once an outage
      return false;
    }
  }

  async #sync(kernels: readonly Kernel[], signal: AbortSignal): Promise<void> {
    const { clock, sink } = this.#deps;
    if (clock.monotonic() - this.#lastSyncMs < SYNC_INTERVAL_MS) return;
    this.#lastSyncMs = clock.monotonic();
    for (const kernel of kernels) {
      if (kernel.metrics === undefined || !kernel.running) continue;
      const options = { attempt: 'publish "kernel_stat_sync"', limitMs: STORE_LIMIT_MS, signal };
      const event = { kind: "kernel_stat_sync", kernelId: kernel.id } as const;
      await withDeadline(clock, options, (limited) => sink.publish(event, limited));
    }
  }
}

import type { KernelId } from "../../domain/ids.ts";
import type { KernelMetrics, NodeMetrics } from "../../domain/stats/metrics.ts";

/** Keeps the newest statistics for the manager to read, each for 30 seconds. Source: 03 §9, §10. */
export interface StatisticsStore {
  /**
   * Replaces the node's statistics (when given) and those of the kernels named, all of them in one exchange.
   * @throws {EventSinkUnavailable} when the store does not answer in time.
   */
  put(node: NodeMetrics | undefined, kernels: ReadonlyMap<KernelId, KernelMetrics>, signal: AbortSignal): Promise<void>;
}

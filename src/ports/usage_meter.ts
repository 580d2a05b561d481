import type { ContainerId, KernelId } from "../../domain/ids.ts";
import type { KernelUsage, NodeUsage } from "../../domain/stats/metrics.ts";

/** Reads how busy this host and its kernels are. */
export interface UsageMeter {
  node(signal: AbortSignal): Promise<NodeUsage>;
  /** All counters of one running kernel; undefined if any of them cannot be read, never a partial answer. */
  kernel(kernelId: KernelId, containerId: ContainerId, signal: AbortSignal): Promise<KernelUsage | undefined>;
}

import type { ContainerId, KernelId } from "../../domain/ids.ts";

/** Counters of one container since its start. */
export interface KernelUsage {
  /** CPU time, ns. */
  readonly cpuNs: bigint;
  readonly memoryBytes: bigint;
  readonly ioReadBytes: bigint;
  readonly ioWriteBytes: bigint;
  /** Regular files and symlinks below the work directory. */
  readonly scratchBytes: bigint;
}

/** Counters of this host. */
export interface NodeUsage {
  /** User and system time since boot, per core, ms; the index is the core. */
  readonly cpuMs: readonly number[];
  readonly memoryUsedBytes: bigint;
  readonly memoryTotalBytes: bigint;
  /** Mounted physical file systems, each device once, by device path. */
  readonly disks: ReadonlyMap<string, { readonly usedBytes: bigint; readonly totalBytes: bigint }>;
  /** Over all interfaces since boot. */
  readonly netReceivedBytes: bigint;
  readonly netSentBytes: bigint;
}

/** Reads how busy this host and its kernels are. */
export interface UsageMeter {
  node(signal: AbortSignal): Promise<NodeUsage>;
  /** All counters of one running kernel; undefined if any of them cannot be read, never a partial answer. */
  kernel(kernelId: KernelId, containerId: ContainerId, signal: AbortSignal): Promise<KernelUsage | undefined>;
}

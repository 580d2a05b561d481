import { statfs } from "node:fs/promises";
import type { ContainerId, KernelId } from "../../domain/ids.ts";
import type { KernelUsage, NodeUsage } from "../../domain/stats/metrics.ts";
import type { UsageMeter } from "../../src/ports/usage_meter.ts";
import { Cgroups } from "./cgroup.ts";
import { parseCpuTimes, parseMemory, parseNetwork, physicalMounts } from "./proc_files.ts";
import { ScratchSizes } from "./scratch_size.ts";

/** Blocks of one file system. `available` is what users without privilege may still take. */
export interface FileSystemBlocks {
  readonly blockBytes: bigint;
  readonly blocks: bigint;
  readonly available: bigint;
}

export interface CgroupMeterOptions {
  /** A kernel's work directory on this host. */
  readonly scratchWorkDir: (kernelId: KernelId) => string;
  /** Default `/sys/fs/cgroup`. */
  readonly cgroupRoot?: string;
  /** Default `/proc`. */
  readonly procRoot?: string;
  readonly fileSystemBlocks?: (path: string) => Promise<FileSystemBlocks>;
}

/** {@linkcode UsageMeter} on the files of Linux: control groups, `/proc`, and the kernel's work directory. */
export class CgroupMeter implements UsageMeter {
  readonly #cgroups: Cgroups;
  readonly #sizes = new ScratchSizes();
  readonly #workDir: (kernelId: KernelId) => string;
  readonly #proc: string;
  readonly #blocks: (path: string) => Promise<FileSystemBlocks>;

  constructor(options: CgroupMeterOptions) {
    this.#cgroups = new Cgroups(options.cgroupRoot ?? "/sys/fs/cgroup");
    this.#workDir = options.scratchWorkDir;
    this.#proc = options.procRoot ?? "/proc";
    this.#blocks = options.fileSystemBlocks ?? blocksOf;
  }

  async node(signal: AbortSignal): Promise<NodeUsage> {
    signal.throwIfAborted();
    const cpuMs = this.#parse("stat", parseCpuTimes);
    const memory = this.#parse("meminfo", parseMemory);
    const network = this.#parse("net/dev", parseNetwork);
    const disks = await this.#disks();
    signal.throwIfAborted();
    return {
      cpuMs,
      memoryUsedBytes: memory.usedBytes,
      memoryTotalBytes: memory.totalBytes,
      disks,
      netReceivedBytes: network.receivedBytes,
      netSentBytes: network.sentBytes,
    };
  }

  async kernel(kernelId: KernelId, containerId: ContainerId, signal: AbortSignal): Promise<KernelUsage | undefined> {
    signal.throwIfAborted();
    const usage = this.#cgroups.read(containerId, performance.now());
    if (usage === undefined) return undefined;
    const scratchBytes = await this.#sizes.measure(this.#workDir(kernelId), signal);
    return scratchBytes === undefined ? undefined : { ...usage, scratchBytes };
  }

  async #disks(): Promise<NodeUsage["disks"]> {
    const mounts = physicalMounts(this.#read("mounts"), this.#read("filesystems"));
    const disks = new Map<string, { usedBytes: bigint; totalBytes: bigint }>();
    for (const [device, path] of mounts) {
      try {
        const { blockBytes, blocks, available } = await this.#blocks(path);
        disks.set(device, { usedBytes: blockBytes * (blocks - available), totalBytes: blockBytes * blocks });
      } catch {
        // Unmounted meanwhile, or in a place that this agent may not enter
      }
    }
    return disks;
  }

  #read(name: string): string {
    return Deno.readTextFileSync(`${this.#proc}/${name}`);
  }

  #parse<T>(name: string, parse: (text: string) => T | undefined): T {
    const value = parse(this.#read(name));
    if (value === undefined) throw new Error(`Cannot read ${this.#proc}/${name}: it has an unknown form`);
    return value;
  }
}

async function blocksOf(path: string): Promise<FileSystemBlocks> {
  const { bsize, blocks, bavail } = await statfs(path, { bigint: true });
  return { blockBytes: bsize, blocks, available: bavail };
}

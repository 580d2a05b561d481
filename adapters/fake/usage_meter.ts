import type { ContainerId, KernelId } from "../../domain/ids.ts";
import type { KernelUsage, NodeUsage } from "../../domain/stats/metrics.ts";
import type { UsageMeter } from "../../src/ports/usage_meter.ts";
import { FaultPlan } from "./fault_plan.ts";

/** {@linkcode UsageMeter} that gives what the test has put in. Operations of the plan: `node`, `kernel`. */
export class FakeUsageMeter implements UsageMeter {
  nodeUsage: NodeUsage = {
    cpuMs: [1_000, 2_000],
    memoryUsedBytes: 1n << 30n,
    memoryTotalBytes: 8n << 30n,
    disks: new Map([["/dev/vda", { usedBytes: 10n << 30n, totalBytes: 100n << 30n }]]),
    netReceivedBytes: 1_000n,
    netSentBytes: 2_000n,
  };
  /** Counters by container; a missing one stands for a counter that cannot be read. */
  readonly kernels = new Map<ContainerId, Partial<KernelUsage>>();
  readonly #faults: FaultPlan;

  constructor(faults = new FaultPlan()) {
    this.#faults = faults;
  }

  // deno-lint-ignore require-await -- asynchronous like the real one, so that faults reject
  async node(signal: AbortSignal): Promise<NodeUsage> {
    signal.throwIfAborted();
    this.#faults.next("node");
    return this.nodeUsage;
  }

  // deno-lint-ignore require-await
  async kernel(_kernelId: KernelId, containerId: ContainerId, signal: AbortSignal): Promise<KernelUsage | undefined> {
    signal.throwIfAborted();
    this.#faults.next("kernel");
    const { cpuNs, memoryBytes, ioReadBytes, ioWriteBytes, scratchBytes } = this.kernels.get(containerId) ?? {};
    const isPartial = cpuNs === undefined || memoryBytes === undefined || ioReadBytes === undefined ||
      ioWriteBytes === undefined || scratchBytes === undefined;
    return isPartial ? undefined : { cpuNs, memoryBytes, ioReadBytes, ioWriteBytes, scratchBytes };
  }
}

import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { EndKernel } from "./end_kernel.ts";
import type { KernelTable } from "./kernel_table.ts";

/** Ends kernels that nobody has used for their idle time; a run under way is use (04 §12, 04-D24, 04-D25). */
export class EndIdleKernels {
  readonly #table: KernelTable;
  readonly #ender: EndKernel;
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(deps: { table: KernelTable; ender: EndKernel; clock: Clock; log: Log }) {
    this.#table = deps.table;
    this.#ender = deps.ender;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  execute(signal: AbortSignal): void {
    const nowMs = this.#clock.monotonic();
    for (const kernel of this.#table.all()) {
      const idleTimeoutS = kernel.record?.idleTimeoutS ?? 0;
      if (kernel.session?.busy) kernel.lastUsedMs = nowMs;
      if (!kernel.running || idleTimeoutS === 0 || nowMs - kernel.lastUsedMs <= idleTimeoutS * 1_000) continue;
      this.#log.info("kernel ends: it was idle", { kernelId: kernel.id, idleTimeoutS });
      this.#ender.destroy(kernel.id, "idle-timeout", signal).catch((error) => {
        this.#log.error("idle kernel not ended", { kernelId: kernel.id, error });
      });
    }
  }
}

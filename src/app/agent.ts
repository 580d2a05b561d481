import { KernelNotFound } from "../../domain/errors.ts";
import type { KernelId } from "../../domain/ids.ts";
import type { KernelRequest } from "../../domain/kernel/kernel_request.ts";
import type { RunReport } from "../../domain/kernel/run_queue.ts";
import type { KernelMetrics } from "../../domain/stats/metrics.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerRuntime } from "../ports/container_runtime.ts";
import type { Log } from "../ports/log.ts";
import type { AgentService, CreatedKernel, ExecuteRequest } from "./agent_service.ts";
import type { CreateKernel } from "./create_kernel.ts";
import { withDeadline } from "./deadline.ts";
import type { EndKernel } from "./end_kernel.ts";
import type { Kernel } from "./kernel.ts";
import type { KernelTable } from "./kernel_table.ts";

const LOGS_LIMIT_MS = 25_000;

export interface AgentDeps {
  readonly table: KernelTable;
  readonly creator: CreateKernel;
  readonly ender: EndKernel;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly log: Log;
  /** How much of the end of a console goes into one reply (01-D12). */
  readonly logsMaxBytes: number;
}

/** {@linkcode AgentService} over the use cases: finds the kernel a call is for, and notes its use. */
export class Agent implements AgentService {
  readonly #deps: AgentDeps;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
  }

  createKernel(request: KernelRequest, signal: AbortSignal): Promise<CreatedKernel> {
    return this.#deps.creator.execute(request, signal);
  }

  async destroyKernel(kernelId: KernelId, reason: string, signal: AbortSignal): Promise<KernelMetrics | null> {
    this.#deps.log.info("destroying kernel", { kernelId, reason });
    return await this.#deps.ender.destroy(kernelId, reason, signal);
  }

  interruptKernel(kernelId: KernelId): void {
    this.#use(kernelId).session?.interrupt();
  }

  async execute(request: ExecuteRequest, signal: AbortSignal): Promise<RunReport> {
    const { kernelId } = request;
    const kernel = this.#use(kernelId);
    if (kernel.session === undefined) throw new KernelNotFound(kernelId);
    return await kernel.session.execute(request, signal);
  }

  async getLogs(kernelId: KernelId, signal: AbortSignal): Promise<string> {
    const { record } = this.#use(kernelId);
    if (record === undefined) throw new KernelNotFound(kernelId);
    const options = { attempt: `read the log of kernel "${kernelId}"`, limitMs: LOGS_LIMIT_MS, signal };
    return await withDeadline(
      this.#deps.clock,
      options,
      (limited) => this.#deps.runtime.logs(record.containerId, this.#deps.logsMaxBytes, limited),
    );
  }

  touch(kernelId: KernelId): void {
    const kernel = this.#deps.table.find(kernelId);
    if (kernel !== undefined) kernel.lastUsedMs = this.#deps.clock.monotonic();
  }

  async destroyAll(reason: string, signal: AbortSignal): Promise<void> {
    const { table, ender, log } = this.#deps;
    await Promise.all(
      table.all().map(async ({ id }) => {
        try {
          await ender.destroy(id, reason, signal);
        } catch (error) {
          log.error("kernel not destroyed", { kernelId: id, reason, error });
        }
      }),
    );
  }

  /**
   * The kernel a call is for, now in use. A manager that asks for a kernel that is not here at all is told, once, that
   * it has ended (01-D10).
   */
  #use(kernelId: KernelId): Kernel {
    const kernel = this.#deps.table.find(kernelId);
    if (kernel === undefined) this.#deps.ender.reportGone(kernelId, "self-terminated");
    this.touch(kernelId);
    return this.#deps.table.running(kernelId);
  }
}

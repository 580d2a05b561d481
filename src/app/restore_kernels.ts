import { ContainerNotFound } from "../../domain/errors.ts";
import type { ContainerId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_request.ts";
import type { PortPool } from "../../domain/net/port_pool.ts";
import type { AllocationLedger } from "../../domain/resource/ledger.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerRuntime, ContainerSummary } from "../ports/container_runtime.ts";
import type { Log } from "../ports/log.ts";
import type { RunnerChannels } from "../ports/runner_channels.ts";
import type { ScratchStore } from "../ports/scratch_store.ts";
import type { EndKernel } from "./end_kernel.ts";
import { runnerEndpoint } from "./kernel_draft.ts";
import type { KernelTable } from "./kernel_table.ts";
import { RunSession } from "./run_session.ts";

export interface RestoreKernelsDeps {
  readonly table: KernelTable;
  readonly ledger: AllocationLedger;
  readonly ports: PortPool;
  readonly runtime: ContainerRuntime;
  readonly scratch: ScratchStore;
  readonly channels: RunnerChannels;
  readonly ender: EndKernel;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Takes up the kernels that an earlier process of this agent left. Running ones go on with their recorded slots and
 * ports (04-D19); ended ones are reported once and cleaned (04-D22); half-created ones are undone. One that cannot be
 * restored never keeps the others (04-D21).
 */
export class RestoreKernels {
  readonly #deps: RestoreKernelsDeps;

  constructor(deps: RestoreKernelsDeps) {
    this.#deps = deps;
  }

  /** Returns how many kernels run. */
  async execute(signal: AbortSignal): Promise<number> {
    const { runtime, scratch, table, ender, log } = this.#deps;
    const containers = await runtime.list(signal);
    let running = 0;
    for (const container of containers) {
      try {
        if (await this.#restore(container, signal)) running += 1;
      } catch (error) {
        signal.throwIfAborted();
        log.error("kernel not restored", { kernelId: container.kernelId, error });
      }
    }
    const found = new Set([...containers.map(({ kernelId }) => kernelId), ...await scratch.list()]);
    for (const kernelId of found) if (table.find(kernelId) === undefined) await ender.endLost(kernelId);
    return running;
  }

  async #restore(container: ContainerSummary, signal: AbortSignal): Promise<boolean> {
    const { scratch, runtime, log, ender } = this.#deps;
    const { kernelId, id, status } = container;
    const record = await scratch.readRecord(kernelId);
    if (record === undefined || record.containerId !== id || status === "created") {
      log.warn("removing a container that never became a kernel", { kernelId, containerId: id });
      await runtime.remove(id, signal);
      return false;
    }
    const kernel = this.#adopt(record);
    if (status === "running") return true;
    const exitCode = await this.#exitCode(id, signal);
    log.info("kernel ended while the agent was down", { kernelId, exitCode });
    ender.containerGone(kernel, { id, exitCode });
    return false;
  }

  /** Null if the engine no longer knows: it may have been removing the container when it listed it. */
  async #exitCode(id: ContainerId, signal: AbortSignal): Promise<number | null> {
    try {
      return (await this.#deps.runtime.inspect(id, signal)).exitCode;
    } catch (error) {
      if (error instanceof ContainerNotFound) return null;
      throw error;
    }
  }

  #adopt(record: KernelRecord) {
    const { table, ledger, ports, ender, log } = this.#deps;
    const { kernelId } = record;
    const session = new RunSession(kernelId, runnerEndpoint(record), this.#deps); // first: only this can fail
    const kernel = table.add(kernelId);
    if (!ledger.restore(kernelId, record.allocation)) {
      log.warn("kernel restored with slots that this agent no longer has", { kernelId });
    }
    ports.restore(kernelId, record.hostPorts);
    kernel.record = record;
    kernel.session = session;
    ender.containerStarted(kernel, record.containerId);
    return kernel;
  }
}

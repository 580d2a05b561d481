import type { ContainerId } from "../../domain/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerRuntime, ContainerSummary } from "../ports/container_runtime.ts";
import type { Log } from "../ports/log.ts";
import { Backoff } from "./deadline.ts";
import type { EndKernel } from "./end_kernel.ts";
import type { Kernel } from "./kernel.ts";
import type { KernelTable } from "./kernel_table.ts";

export interface ObserveContainersDeps {
  readonly table: KernelTable;
  readonly runtime: ContainerRuntime;
  readonly ender: EndKernel;
  readonly clock: Clock;
  readonly log: Log;
}

/** Learns of deaths from the engine's event stream, and of those that it missed from the engine's list (04-D23). */
export class ObserveContainers {
  readonly #deps: ObserveContainersDeps;

  constructor(deps: ObserveContainersDeps) {
    this.#deps = deps;
  }

  /** Follows the event stream until `signal` is aborted; reconnects with a growing delay. */
  async follow(signal: AbortSignal): Promise<void> {
    const { runtime, table, ender, clock, log } = this.#deps;
    const backoff = new Backoff(200, 10_000);
    let connected = () => {};
    while (!signal.aborted) {
      let reconciled: Promise<void> = Promise.resolve();
      connected = () => {
        backoff.reset();
        reconciled = this.reconcile(signal).catch((error) => log.warn("containers not compared", { error }));
      };
      try {
        for await (const death of runtime.watch(connected, signal)) {
          const kernel = table.find(death.kernelId);
          if (kernel !== undefined) ender.containerGone(kernel, death);
        }
      } catch (error) {
        if (!signal.aborted) log.warn("engine event stream lost, connecting again", { error });
      }
      await reconciled;
      if (!signal.aborted) await clock.sleep(backoff.next(), signal).catch(() => {}); // aborted: the loop ends
    }
  }

  /** Compares the kernels with the containers there are: ends what died unheard, removes what belongs to no kernel. */
  async reconcile(signal: AbortSignal): Promise<void> {
    const { runtime, table } = this.#deps;
    const before = table.all().filter((kernel) => kernel.record !== undefined); // later ones are not in the list
    const containers = await runtime.list(signal);
    const statuses = new Map(containers.map(({ id, status }) => [id, status]));
    for (const kernel of before) {
      const id = kernel.record?.containerId;
      if (id !== undefined && statuses.get(id) !== "running") await this.#endUnheard(kernel, id, signal);
    }
    for (const container of containers) await this.#removeStray(container, signal);
  }

  async #endUnheard(kernel: Kernel, id: ContainerId, signal: AbortSignal): Promise<void> {
    const details = await this.#deps.runtime.inspect(id, signal).catch(() => undefined); // it may be gone altogether
    this.#deps.ender.containerGone(kernel, { id, exitCode: details?.exitCode ?? null });
  }

  async #removeStray({ id, kernelId }: ContainerSummary, signal: AbortSignal): Promise<void> {
    const { runtime, table, log } = this.#deps;
    const kernel = table.find(kernelId);
    if (kernel !== undefined && (kernel.record === undefined || kernel.record.containerId === id)) return;
    log.warn("removing a container that belongs to no kernel", { kernelId, containerId: id });
    try {
      await runtime.remove(id, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn("container not removed", { kernelId, containerId: id, error });
    }
  }
}

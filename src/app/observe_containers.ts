import type { Clock } from "../ports/clock.ts";
import type { ContainerRuntime } from "../ports/container_runtime.ts";
import type { Log } from "../ports/log.ts";
import { Backoff } from "./deadline.ts";
import type { EndKernel } from "./end_kernel.ts";
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
    const { runtime, table, ender, log } = this.#deps;
    const before = table.all().filter((kernel) => kernel.record !== undefined); // later ones are not in the list
    const containers = new Map((await runtime.list(signal)).map((container) => [container.id, container]));
    for (const kernel of before) {
      const id = kernel.record?.containerId;
      const container = id === undefined ? undefined : containers.get(id);
      if (id === undefined || container?.status === "running") continue;
      const exitCode = container === undefined
        ? null
        : await runtime.inspect(id, signal).then((details) => details.exitCode, () => null);
      ender.containerGone(kernel, { id, exitCode });
    }
    for (const { id, kernelId } of containers.values()) {
      if (table.find(kernelId) !== undefined) continue;
      log.warn("removing a container that belongs to no kernel", { kernelId, containerId: id });
      await runtime.remove(id, signal);
    }
  }
}

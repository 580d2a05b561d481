import { CreationCancelled } from "../../domain/errors.ts";
import type { ContainerId, KernelId } from "../../domain/ids.ts";
import type { TerminationReason } from "../../domain/kernel/events.ts";
import type { KernelAction } from "../../domain/kernel/lifecycle.ts";
import type { PortPool } from "../../domain/net/port_pool.ts";
import type { AllocationLedger } from "../../domain/resource/ledger.ts";
import type { KernelMetrics } from "../../domain/stats/metrics.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerDeath, ContainerRuntime } from "../ports/container_runtime.ts";
import type { Log } from "../ports/log.ts";
import type { ScratchStore } from "../ports/scratch_store.ts";
import type { CollectStatistics } from "./collect_statistics.ts";
import { Backoff, withDeadline } from "./deadline.ts";
import type { EventPublisher } from "./event_publisher.ts";
import type { Kernel } from "./kernel.ts";
import type { KernelTable } from "./kernel_table.ts";
import type { TaskGroup } from "./task_group.ts";

/** How long a destroy call waits for the engine; the manager gives up after 30 s (01 §9). */
const KILL_LIMIT_MS = 20_000;
const ENGINE_CALL_LIMIT_MS = 30_000;
/** The manager is not kept waiting for a directory that cannot be removed; the next start tries again. */
const SCRATCH_REMOVALS = 5;
/** Exit code of a program that was killed, told to runs that were under way. */
const KILLED = 137;

export interface EndKernelDeps {
  readonly table: KernelTable;
  readonly ledger: AllocationLedger;
  readonly ports: PortPool;
  readonly runtime: ContainerRuntime;
  readonly scratch: ScratchStore;
  readonly statistics: CollectStatistics;
  readonly publisher: EventPublisher;
  readonly tasks: TaskGroup;
  readonly clock: Clock;
  readonly log: Log;
}

/** Every way a kernel ends leads through here: asked for, died by itself, or never came to be. */
export class EndKernel {
  readonly #deps: EndKernelDeps;

  constructor(deps: EndKernelDeps) {
    this.#deps = deps;
  }

  /**
   * Ends a kernel because somebody asked for it. Returns its last statistics when the engine has killed the container,
   * or null; the rest of the clean-up goes on in the background. A repeat waits for the same kill.
   */
  async destroy(id: KernelId, reason: TerminationReason, signal: AbortSignal): Promise<KernelMetrics | null> {
    const kernel = this.#deps.table.find(id);
    if (kernel === undefined) {
      this.reportGone(id, reason);
      return null;
    }
    this.#perform(kernel, kernel.apply({ kind: "destroy-requested", reason }));
    const told = kernel.killed ?? kernel.ended.promise;
    const options = { attempt: `kill kernel "${id}"`, limitMs: KILL_LIMIT_MS, signal };
    await withDeadline(this.#deps.clock, options, () => told);
    return kernel.metrics ?? null;
  }

  /** The manager believes in a kernel that is not here: tell it, once. */
  reportGone(id: KernelId, reason: TerminationReason): void {
    if (!this.#deps.table.noteEnd(id)) return;
    this.#deps.publisher.announce({ kind: "kernel_terminated", kernelId: id, reason, exitCode: null });
  }

  /** Only the directory of a kernel is left, of an earlier process: the end is told, and then the directory goes. */
  async endLost(id: KernelId): Promise<void> {
    const { scratch, table, publisher, log } = this.#deps;
    await scratch.clear(id).catch((error) => log.error("cannot clear scratch", { kernelId: id, error }));
    if (!table.noteEnd(id)) return await this.#removeScratch(id);
    const event = { kind: "kernel_terminated", kernelId: id, reason: "self-terminated", exitCode: null } as const;
    publisher.announce(event, () => this.#removeScratch(id));
  }

  /** The container is known to be dead. Repeats and late news change nothing. */
  containerGone(kernel: Kernel, { id, exitCode }: Pick<ContainerDeath, "id" | "exitCode">): void {
    this.#perform(kernel, kernel.containerDied(id, exitCode));
  }

  /** A creation has been undone. */
  creationFailed(kernel: Kernel): void {
    this.#deps.table.remove(kernel);
    this.#perform(kernel, kernel.apply({ kind: "creation-failed", reason: "failed-to-start" }));
    kernel.ended.resolve();
  }

  /** The container of a kernel in creation has started; it may have died already. */
  containerStarted(kernel: Kernel, containerId: ContainerId): void {
    this.#perform(kernel, kernel.apply({ kind: "container-started", containerId }));
  }

  #perform(kernel: Kernel, actions: readonly KernelAction[]): void {
    for (const action of actions) this.#performOne(kernel, action);
  }

  #performOne(kernel: Kernel, action: KernelAction): void {
    const { tasks, table, publisher } = this.#deps;
    switch (action.kind) {
      case "cancel-creation":
        return kernel.creation.abort(new CreationCancelled(kernel.id));
      case "kill-container":
        kernel.session?.close(KILLED, "The kernel is being destroyed.\n");
        kernel.killed = tasks.spawn("kill kernel", (signal) => this.#kill(kernel, action.containerId, signal));
        return;
      case "clean-up":
        kernel.session?.close(KILLED, "The kernel has ended.\n");
        void tasks.spawn("clean up kernel", (signal) => this.#cleanUp(kernel, action.containerId, signal));
        return;
      case "announce-termination": {
        const { reason, exitCode } = action;
        table.noteEnd(kernel.id);
        const event = { kind: "kernel_terminated", kernelId: kernel.id, reason, exitCode } as const;
        return publisher.announce(event, () => this.#forget(kernel));
      }
      default:
        return action satisfies never;
    }
  }

  async #kill(kernel: Kernel, containerId: ContainerId, signal: AbortSignal): Promise<void> {
    const { runtime, statistics } = this.#deps;
    await statistics.sample(kernel, signal);
    await this.#persist({ attempt: "kill container", kernel, signal }, (limited) => runtime.kill(containerId, limited));
    // The engine's death notice usually comes first; this is for when its event stream is down.
    void this.#deps.tasks.spawn("confirm death", async (confirm) => {
      const exitCode = await runtime.inspect(containerId, confirm).then((it) => it.exitCode, () => KILLED);
      this.containerGone(kernel, { id: containerId, exitCode: exitCode ?? KILLED });
    });
  }

  /**
   * In the order of 04 §13.3: container, ports, slots, scratch, event. A reminder of the kernel stays on the disk until the
   * event has been told, so that the end of the agent cannot come between (02-D1).
   */
  async #cleanUp(kernel: Kernel, containerId: ContainerId, signal: AbortSignal): Promise<void> {
    const { runtime, ports, ledger, scratch, statistics } = this.#deps;
    await this.#persist(
      { attempt: "remove container", kernel, signal },
      (limited) => runtime.remove(containerId, limited),
    );
    ports.release(kernel.id);
    ledger.release(kernel.id);
    const removal = { attempt: "clear scratch", kernel, signal, times: SCRATCH_REMOVALS };
    await this.#persist(removal, () => scratch.clear(kernel.id));
    await statistics.keep(kernel);
    this.#perform(kernel, kernel.apply({ kind: "cleaned" }));
    kernel.ended.resolve();
  }

  /** The manager knows of the end: nothing has to remind of this kernel any more. Never throws. */
  async #forget(kernel: Kernel): Promise<void> {
    const { table } = this.#deps;
    if (table.find(kernel.id) !== kernel) return; // its creation was undone, and the directory with it
    await this.#removeScratch(kernel.id);
    table.remove(kernel);
  }

  async #removeScratch(kernelId: KernelId): Promise<void> {
    const { scratch, log } = this.#deps;
    await scratch.remove(kernelId).catch((error) => log.error("cannot remove scratch", { kernelId, error }));
  }

  /** Tries `times` times, else until it works or the agent ends: what stays behind would be lost resources. */
  async #persist(
    { attempt, kernel, signal, times = Infinity }: {
      readonly attempt: string;
      readonly kernel: Kernel;
      readonly signal: AbortSignal;
      readonly times?: number;
    },
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { clock, log } = this.#deps;
    const backoff = new Backoff(500, 30_000);
    for (let failures = 1;; failures++) {
      try {
        return await withDeadline(clock, { attempt, limitMs: ENGINE_CALL_LIMIT_MS, signal }, work);
      } catch (error) {
        signal.throwIfAborted();
        if (failures >= times) return log.error(`cannot ${attempt}`, { kernelId: kernel.id, error });
        log.warn(`cannot ${attempt}, trying again`, { kernelId: kernel.id, error });
      }
      await clock.sleep(backoff.next(), signal);
    }
  }
}

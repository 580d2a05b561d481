import type { ContainerId, KernelId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_request.ts";
import {
  INITIAL_STATE,
  type KernelAction,
  type KernelEvent,
  type KernelState,
  step,
} from "../../domain/kernel/lifecycle.ts";
import { KernelMeter, type KernelMetrics } from "../../domain/stats/metrics.ts";
import type { RunSession } from "./run_session.ts";

/** What the agent knows of one kernel. Changed by the use cases only, its state by its methods only. */
export class Kernel {
  state: KernelState = INITIAL_STATE;
  /** Aborting it undoes a creation in progress. */
  readonly creation = new AbortController();
  /** Resolves when nothing of the kernel is left and its end has been announced, or its creation has been undone. */
  readonly ended = Promise.withResolvers<void>();
  /** Settles when the engine has been told to kill the container. */
  killed: Promise<void> | undefined;
  /** Present from the moment the kernel runs. */
  record: KernelRecord | undefined;
  session: RunSession | undefined;
  readonly meter = new KernelMeter();
  metrics: KernelMetrics | undefined;
  /** Exit codes of containers that died while the kernel was being created. */
  readonly #earlyDeaths = new Map<ContainerId, number | null>();

  /** @param lastUsedMs monotonic time of the last use */
  constructor(readonly id: KernelId, public lastUsedMs: number) {}

  get running(): boolean {
    return this.state.status === "running";
  }

  /** Moves on and returns what must be done now. */
  apply(event: KernelEvent): readonly KernelAction[] {
    const { state, actions } = step(this.state, event);
    this.state = state;
    if (event.kind !== "container-started") return actions;
    const exitCode = this.#earlyDeaths.get(event.containerId);
    return exitCode === undefined ? actions : [...actions, ...this.apply({ kind: "container-gone", exitCode })];
  }

  /** A death during the creation counts once that is over. Another kernel of the same id may have died late: ignored. */
  containerDied(id: ContainerId, exitCode: number | null): readonly KernelAction[] {
    if (this.state.status === "preparing") this.#earlyDeaths.set(id, exitCode);
    const isOwn = "containerId" in this.state && this.state.containerId === id;
    return isOwn ? this.apply({ kind: "container-gone", exitCode }) : [];
  }
}

import type { KernelId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_spec.ts";
import {
  INITIAL_STATE,
  type KernelAction,
  type KernelEvent,
  type KernelState,
  step,
} from "../../domain/kernel/lifecycle.ts";
import { KernelMeter, type KernelMetrics } from "../../domain/stats/metrics.ts";
import type { RunSession } from "./run_session.ts";

/** What the agent knows of one kernel. Changed by the use cases only, its state by {@linkcode apply} only. */
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
  #earlyDeath: Extract<KernelEvent, { kind: "container-gone" }> | undefined;

  /** @param lastUsedMs monotonic time of the last use */
  constructor(readonly id: KernelId, public lastUsedMs: number) {}

  get running(): boolean {
    return this.state.status === "running";
  }

  /** Moves on and returns what must be done now. A death that is heard of during creation counts once it is over. */
  apply(event: KernelEvent): readonly KernelAction[] {
    if (event.kind === "container-gone" && this.state.status === "preparing") {
      this.#earlyDeath = event;
      return [];
    }
    const { state, actions } = step(this.state, event);
    this.state = state;
    if (event.kind !== "container-started" || this.#earlyDeath === undefined) return actions;
    return [...actions, ...this.apply(this.#earlyDeath)];
  }
}

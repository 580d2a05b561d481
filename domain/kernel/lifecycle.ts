/**
 * The life of one kernel as a total function. Engines and users repeat and reorder what they say, so an event that does
 * not fit the state changes nothing.
 *
 * ```text
 * preparing ──container-started──▶ running ──destroy-requested / container-gone──▶ terminating ──cleaned──▶ terminated
 *     ├──────destroy-requested──▶ terminating (the creation is being undone) ──cleaned──▶ terminated
 *     └──────creation-failed────▶ terminated (never announced: the create call itself fails)
 * ```
 */
import type { ContainerId } from "../ids.ts";
import type { TerminationReason } from "./events.ts";

export type KernelState =
  | { readonly status: "preparing" }
  | { readonly status: "running"; readonly containerId: ContainerId }
  | {
    readonly status: "terminating";
    /** Absent while the creation that is being undone has no container yet. */
    readonly containerId: ContainerId | undefined;
    readonly reason: TerminationReason;
    readonly exitCode: number | null;
    /** Whether the container is known to be dead and the clean-up has been ordered. */
    readonly cleaning: boolean;
  }
  | { readonly status: "terminated"; readonly reason: TerminationReason; readonly exitCode: number | null };

export type KernelEvent =
  | { readonly kind: "container-started"; readonly containerId: ContainerId }
  | { readonly kind: "creation-failed"; readonly reason: TerminationReason }
  | { readonly kind: "destroy-requested"; readonly reason: TerminationReason }
  | { readonly kind: "container-gone"; readonly exitCode: number | null }
  | { readonly kind: "cleaned" };

export type KernelAction =
  | { readonly kind: "cancel-creation" }
  | { readonly kind: "kill-container"; readonly containerId: ContainerId }
  | { readonly kind: "clean-up"; readonly containerId: ContainerId }
  | { readonly kind: "announce-termination"; readonly reason: TerminationReason; readonly exitCode: number | null };

export interface Step {
  readonly state: KernelState;
  /** What the caller must now do, in this order. */
  readonly actions: readonly KernelAction[];
}

export const INITIAL_STATE: KernelState = { status: "preparing" };

export function step(state: KernelState, event: KernelEvent): Step {
  switch (event.kind) {
    case "container-started":
      if (state.status !== "preparing") return unchanged(state);
      return { state: { status: "running", containerId: event.containerId }, actions: [] };
    case "creation-failed":
      if (state.status === "preparing") {
        return { state: { status: "terminated", reason: event.reason, exitCode: null }, actions: [] };
      }
      return state.status === "terminating" && state.containerId === undefined ? terminated(state) : unchanged(state);
    case "destroy-requested":
      return requestDestroy(state, event.reason);
    case "container-gone":
      return containerGone(state, event.exitCode);
    case "cleaned":
      return state.status === "terminating" ? terminated(state) : unchanged(state);
    default:
      return event satisfies never;
  }
}

function requestDestroy(state: KernelState, reason: TerminationReason): Step {
  if (state.status === "preparing") {
    const next = { status: "terminating", containerId: undefined, reason, exitCode: null, cleaning: false } as const;
    return { state: next, actions: [{ kind: "cancel-creation" }] };
  }
  if (state.status !== "running") return unchanged(state);
  const { containerId } = state;
  const next = { status: "terminating", containerId, reason, exitCode: null, cleaning: false } as const;
  return { state: next, actions: [{ kind: "kill-container", containerId }] };
}

/** The first news of the death orders the clean-up; the reason of a destroy that came before it stays. */
function containerGone(state: KernelState, exitCode: number | null): Step {
  if (state.status === "running") {
    const { containerId } = state;
    const reason = "self-terminated";
    const next = { status: "terminating", containerId, reason, exitCode, cleaning: true } as const;
    return { state: next, actions: [{ kind: "clean-up", containerId }] };
  }
  if (state.status !== "terminating" || state.cleaning || state.containerId === undefined) return unchanged(state);
  const next = { ...state, exitCode, cleaning: true };
  return { state: next, actions: [{ kind: "clean-up", containerId: state.containerId }] };
}

function terminated(state: Extract<KernelState, { status: "terminating" }>): Step {
  const { reason, exitCode } = state;
  return {
    state: { status: "terminated", reason, exitCode },
    actions: [{ kind: "announce-termination", reason, exitCode }],
  };
}

function unchanged(state: KernelState): Step {
  return { state, actions: [] };
}

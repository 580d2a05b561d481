import type { AgentEvent, AgentInfo } from "../../domain/kernel/events.ts";

/**
 * Carries the agent's news to the manager.
 * Both methods throw {@linkcode EventSinkUnavailable} when the store does not take the event in time, and
 * `signal.reason` once `signal` is aborted; the event may then have been taken all the same.
 */
export interface EventSink {
  /**
   * Resolves once the event is handed over. Events are handed over in the order of the calls, each at least once;
   * the caller retries.
   */
  publish(event: AgentEvent, signal: AbortSignal): Promise<void>;
  /** Hands over a heartbeat without ever waiting behind, or delaying, a {@linkcode publish}. */
  heartbeat(info: AgentInfo, signal: AbortSignal): Promise<void>;
}

import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { AgentEvent, AgentInfo } from "../../domain/kernel/events.ts";
import type { EventSink } from "../../src/ports/event_sink.ts";
import { FaultPlan } from "./fault_plan.ts";

/** In-memory {@linkcode EventSink}. Fault operations: `publish`, `heartbeat`; a failed call takes nothing. */
export class FakeEventSink implements EventSink {
  /** In the order in which they were handed over. */
  readonly events: AgentEvent[] = [];
  readonly heartbeats: AgentInfo[] = [];
  /** While false every call fails. */
  reachable = true;

  constructor(readonly faults: FaultPlan = new FaultPlan()) {}

  async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    await this.#begin("publish", `publish "${event.kind}"`, signal);
    this.events.push(event);
  }

  async heartbeat(info: AgentInfo, signal: AbortSignal): Promise<void> {
    await this.#begin("heartbeat", "publish a heartbeat", signal);
    this.heartbeats.push(info);
  }

  async #begin(operation: string, attempt: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.faults.next(operation);
    if (this.reachable) return;
    await Promise.resolve(); // a store that is out answers late: the caller can lose interest first
    signal.throwIfAborted();
    throw new EventSinkUnavailable(attempt);
  }
}

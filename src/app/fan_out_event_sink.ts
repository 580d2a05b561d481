import type { AgentEvent, AgentInfo } from "../../domain/kernel/events.ts";
import type { EventSink } from "../ports/event_sink.ts";

/**
 * One sink that has to take everything, and one that gets a copy without any promise. The copy goes first: it never
 * waits, and a failure of the other is retried as a whole.
 */
export class FanOutEventSink implements EventSink {
  readonly #reliable: EventSink;
  readonly #copy: EventSink;

  constructor(reliable: EventSink, copy: EventSink) {
    this.#reliable = reliable;
    this.#copy = copy;
  }

  async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    await this.#copy.publish(event, signal).catch(() => {}); // best effort by contract: 02 §2
    await this.#reliable.publish(event, signal);
  }

  async heartbeat(info: AgentInfo, signal: AbortSignal): Promise<void> {
    await this.#copy.heartbeat(info, signal).catch(() => {}); // best effort by contract: 02 §2
    await this.#reliable.heartbeat(info, signal);
  }
}

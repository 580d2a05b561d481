import type { AgentEvent } from "../../domain/kernel/events.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventSink } from "../ports/event_sink.ts";
import type { Log } from "../ports/log.ts";
import { Backoff, withDeadline } from "./deadline.ts";

/** How long a step of a creation waits for the event store before the creation is undone. */
const PUBLISH_LIMIT_MS = 10_000;

/** Two ways to tell the manager: awaited, for what the caller can still undo; and kept until told, for what happened. */
export class EventPublisher {
  readonly #sink: EventSink;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #untold: { readonly event: AgentEvent; readonly onTold: () => Promise<void> }[] = [];
  #teller: Promise<void> | undefined;

  constructor(deps: { sink: EventSink; clock: Clock; log: Log }) {
    this.#sink = deps.sink;
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  /** One attempt. @throws {DeadlineExceeded} or {EventSinkUnavailable}: the event may have been taken all the same. */
  async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    const options = { attempt: `publish "${event.kind}"`, limitMs: PUBLISH_LIMIT_MS, signal };
    await withDeadline(this.#clock, options, (limited) => this.#sink.publish(event, limited));
  }

  /**
   * Keeps the event until it has been handed over, in the order of the calls. Never throws.
   * @param onTold called then, before the next event; must not reject
   */
  announce(event: AgentEvent, onTold: () => Promise<void> = async () => {}): void {
    this.#untold.push({ event, onTold });
    this.#teller ??= this.#tell();
  }

  async #tell(): Promise<void> {
    const backoff = new Backoff(500, 5_000);
    for (let next = this.#untold[0]; next !== undefined; next = this.#untold[0]) {
      const { event, onTold } = next;
      try {
        await this.publish(event, this.#stop.signal);
        backoff.reset();
        await onTold();
        this.#untold.shift();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#log.warn("event not delivered, trying again", { event: event.kind, waiting: this.#untold.length, error });
        await this.#clock.sleep(backoff.next(), this.#stop.signal).catch(() => {});
      }
    }
    this.#teller = undefined; // in the same moment in which nothing was left: what comes next needs a new one
  }

  /** Waits until everything announced has been handed over; gives up when `signal` is aborted and says what is left. */
  async flush(signal: AbortSignal): Promise<void> {
    const giveUp = () => this.#stop.abort(signal.reason);
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    await this.#teller;
    signal.removeEventListener("abort", giveUp);
    for (const { event } of this.#untold) {
      this.#log.error("event not delivered: the agent ends before the store took it", { event });
    }
  }
}

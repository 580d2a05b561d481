import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { AgentEvent, AgentInfo } from "../../domain/kernel/events.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { EventSink } from "../../src/ports/event_sink.ts";
import type { EmbeddedStore } from "./embedded_store.ts";

/** An event of the log. Ids only grow, also over restarts. */
export interface LoggedEvent {
  readonly id: number;
  /** Wall-clock time, ms since the epoch. */
  readonly atMs: number;
  readonly event: AgentEvent;
}

/** A heartbeat as it is kept: plain values, amounts as decimal text in the slot's base unit. */
export interface LoggedHeartbeat {
  readonly atMs: number;
  readonly info: Readonly<Record<string, unknown>>;
}

export interface EmbeddedEventSinkOptions {
  readonly clock: Clock;
  /** How many events are kept; the oldest go first. Default 10,000. */
  readonly maxEvents?: number;
}

/** {@linkcode EventSink} as a log in one file, for a reader in place of the manager. Of the heartbeats it keeps the newest. */
export class EmbeddedEventSink implements EventSink {
  readonly #store: EmbeddedStore;
  readonly #clock: Clock;
  readonly #maxEvents: number;

  constructor(store: EmbeddedStore, { clock, maxEvents = 10_000 }: EmbeddedEventSinkOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#maxEvents = maxEvents;
  }

  // async, so that a failure comes as a rejection; likewise below
  // deno-lint-ignore require-await
  async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    attempt(`publish "${event.kind}"`, () =>
      this.#store.transaction(() => {
        const id = this.#store.run(
          "INSERT INTO event (at_ms, event) VALUES (?, ?)",
          this.#clock.now(),
          JSON.stringify(event),
        );
        this.#store.run("DELETE FROM event WHERE id <= ?", id - this.#maxEvents);
      }));
  }

  // deno-lint-ignore require-await
  async heartbeat(info: AgentInfo, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    attempt("publish a heartbeat", () => {
      this.#store.run(
        "INSERT OR REPLACE INTO heartbeat (id, at_ms, info) VALUES (1, ?, ?)",
        this.#clock.now(),
        JSON.stringify(encodeInfo(info)),
      );
    });
  }

  /** Up to `limit` events after the one with this id (0: from the oldest that is kept), in order. */
  events(afterId: number, limit = 1000): readonly LoggedEvent[] {
    const rows = this.#store.all("SELECT id, at_ms, event FROM event WHERE id > ? ORDER BY id LIMIT ?", afterId, limit);
    return rows.map(({ id, at_ms, event }) => ({
      id: Number(id),
      atMs: Number(at_ms),
      event: JSON.parse(String(event)), // written by publish() alone
    }));
  }

  /** The newest heartbeat; undefined before the first. */
  lastHeartbeat(): LoggedHeartbeat | undefined {
    const [row] = this.#store.all("SELECT at_ms, info FROM heartbeat");
    return row && { atMs: Number(row.at_ms), info: JSON.parse(String(row.info)) };
  }
}

function encodeInfo(info: AgentInfo): Record<string, unknown> {
  const slots = [...info.slots].map(([name, { unit, amount }]) => [name, { unit, amount: String(amount) }]);
  return { ...info, slots: Object.fromEntries(slots) };
}

function attempt<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new EventSinkUnavailable(what, { cause: error });
  }
}

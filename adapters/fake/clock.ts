import { setImmediate } from "node:timers";
import type { Clock } from "../../src/ports/clock.ts";

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** {@linkcode Clock} that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #wallMs: number;
  #elapsedMs = 0;
  readonly #sleepers = new Set<Sleeper>();

  /** @param startMs wall-clock time at the beginning, ms since the epoch */
  constructor(startMs = Date.UTC(2020, 0, 1)) {
    this.#wallMs = startMs;
  }

  /** How many sleeps are under way. */
  get sleepers(): number {
    return this.#sleepers.size;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (ms <= 0) return resolve();
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      };
      const wake = () => {
        this.#sleepers.delete(sleeper);
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const sleeper: Sleeper = { dueMs: this.#elapsedMs + ms, wake };
      this.#sleepers.add(sleeper);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /**
   * Lets `ms` milliseconds go by: wakes who is due, in the order of time, and lets each do what it can do without
   * waiting for the world, so that a loop that sleeps again is woken again.
   */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#elapsedMs + ms;
    await turn();
    for (let next = this.#nextDue(targetMs); next !== undefined; next = this.#nextDue(targetMs)) {
      this.#moveTo(next.dueMs);
      next.wake();
      await turn();
    }
    this.#moveTo(targetMs);
    await turn();
  }

  /** Sets the wall clock without any time going by, as an operator or NTP does. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  #nextDue(limitMs: number): Sleeper | undefined {
    let next: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.dueMs <= limitMs && (next === undefined || sleeper.dueMs < next.dueMs)) next = sleeper;
    }
    return next;
  }

  #moveTo(elapsedMs: number): void {
    this.#wallMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
  }
}

/** One turn of the event loop: every promise chain that waits for nothing else has run to its end. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

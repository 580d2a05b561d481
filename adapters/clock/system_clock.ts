import type { Clock } from "../../src/ports/clock.ts";

/** `setTimeout` takes a longer delay for 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** {@linkcode Clock} of this machine. */
export class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const due = this.monotonic() + ms;
      let timer: ReturnType<typeof setTimeout>;
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      // Timers may fire a fraction of a millisecond early: look at the clock, and wait for the rest
      const wait = () => {
        const rest = due - this.monotonic();
        if (rest > 0) {
          timer = setTimeout(wait, Math.min(Math.ceil(rest), LONGEST_TIMER_MS));
          return;
        }
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      wait();
    });
  }
}

import { DeadlineExceeded } from "../../domain/errors.ts";
import type { Clock } from "../ports/clock.ts";

export interface DeadlineOptions {
  /** What is being attempted, to complete "Cannot …". */
  readonly attempt: string;
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Runs `work` with a signal that is aborted `limitMs` later as well.
 * @throws {DeadlineExceeded} when the time is over, even if `work` does not react; `signal.reason` when aborted.
 */
export async function withDeadline<T>(
  clock: Clock,
  options: DeadlineOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { attempt, limitMs, signal } = options;
  signal.throwIfAborted();
  const limit = new AbortController();
  const done = new AbortController();
  const expiry = clock.sleep(limitMs, AbortSignal.any([signal, done.signal])).then(
    () => limit.abort(new DeadlineExceeded(attempt, limitMs)),
    () => limit.abort(signal.reason),
  );
  const failed = new Promise<never>((_, reject) => {
    limit.signal.addEventListener("abort", () => reject(limit.signal.reason), { once: true });
  });
  failed.catch(() => {}); // the race below is over when the expiry of a finished call arrives
  try {
    return await Promise.race([work(limit.signal), failed]);
  } finally {
    done.abort();
    await expiry;
  }
}

/** Delays between attempts: doubles from `firstMs` to `maxMs`; {@linkcode reset} on health. */
export class Backoff {
  #nextMs: number;
  constructor(readonly firstMs: number, readonly maxMs: number) {
    this.#nextMs = firstMs;
  }

  next(): number {
    const delay = this.#nextMs;
    this.#nextMs = Math.min(this.maxMs, delay * 2);
    return delay;
  }

  reset(): void {
    this.#nextMs = this.firstMs;
  }
}

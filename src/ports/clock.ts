/** Time, and waiting for it. */
export interface Clock {
  /** Wall-clock time, ms since the epoch. May jump. */
  now(): number;
  /** Milliseconds since an arbitrary moment; never goes back. */
  monotonic(): number;
  /**
   * Resolves `ms` milliseconds later, not before.
   * Rejects with `signal.reason` as soon as `signal` is aborted, at once if it already is; leaves no timer behind.
   */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

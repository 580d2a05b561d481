import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";

/**
 * Runs `work` now and then every `intervalMs`, counted from start to start, never twice at once; a round that takes
 * longer than the interval swallows the ones it missed. A failure is logged and the next round comes all the same.
 */
export async function periodically(
  deps: { readonly clock: Clock; readonly log: Log },
  options: { readonly name: string; readonly intervalMs: number; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { clock, log } = deps;
  const { name, intervalMs, signal } = options;
  let next = clock.monotonic();
  while (!signal.aborted) {
    try {
      await work(signal);
    } catch (error) {
      if (signal.aborted) return;
      log.warn("periodic task failed, trying again", { task: name, error });
    }
    next = Math.max(next + intervalMs, clock.monotonic());
    await clock.sleep(next - clock.monotonic(), signal).catch(() => {}); // aborted: the loop ends
  }
}

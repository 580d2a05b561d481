/** What the library takes on top for a last round trip between its threads. */
const GRACE_MS = 200;
const LOOK_EVERY_MS = 5;

interface Departure {
  /** Content that no other descriptor of this process ever has. */
  readonly identity: string;
  readonly until: number;
}

/**
 * Sockets that the library still has messages of. It closes a socket's descriptor, an eventfd, when the last message is
 * away or the linger time is over, and has no other way to tell. Ending the process earlier loses those messages.
 */
export class Departures {
  readonly #leaving = new Map<number, Departure>();

  /** To be called before the library is told to close the socket. */
  add(descriptor: number, remainingMs: number): void {
    const now = performance.now();
    for (const [old, { until }] of this.#leaving) if (until < now) this.#leaving.delete(old);
    const identity = describe(descriptor);
    if (identity !== undefined) this.#leaving.set(descriptor, { identity, until: now + remainingMs + GRACE_MS });
  }

  /** Resolves when every descriptor is gone or its time is over. */
  async settled(): Promise<void> {
    for (const [descriptor, { identity, until }] of this.#leaving) {
      while (performance.now() < until && describe(descriptor) === identity) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    }
    this.#leaving.clear();
  }
}

/** The kernel numbers eventfds (`eventfd-id`, Linux 5.2); before that, a reused descriptor only costs some waiting. */
function describe(descriptor: number): string | undefined {
  try {
    const info = Deno.readTextFileSync(`/proc/self/fdinfo/${descriptor}`);
    return /^eventfd-id:.*$/m.exec(info)?.[0] ?? (info.includes("eventfd-count") ? "eventfd" : undefined);
  } catch {
    return undefined;
  }
}

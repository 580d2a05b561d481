/** A stream of the runner's own console; writing may take as long as it likes. */
export interface ConsoleSink {
  write(bytes: Uint8Array): Promise<number>;
}

const BURST_BYTES = 256 * 1024;
const BYTES_PER_SECOND = 128 * 1024;

/**
 * Copies output to the container's console, where the engine's log takes it up. Never waits for it: what is more than a
 * log can use is left out, with a line that says how much, so that neither a stuck reader nor a flood of output costs
 * the run anything or fills the host's disk.
 */
export class ConsoleCopy {
  readonly #sinks: Readonly<Record<"stdout" | "stderr", ConsoleSink>>;
  readonly #nowMs: () => number;
  readonly #queue: (readonly ["stdout" | "stderr", Uint8Array])[] = [];
  #budget = BURST_BYTES;
  #budgetAtMs: number;
  #leftOut = 0;
  #writing = false;

  constructor(sinks: Readonly<Record<"stdout" | "stderr", ConsoleSink>>, nowMs: () => number) {
    this.#sinks = sinks;
    this.#nowMs = nowMs;
    this.#budgetAtMs = nowMs();
  }

  copy(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const now = this.#nowMs();
    this.#budget = Math.min(BURST_BYTES, this.#budget + (now - this.#budgetAtMs) * BYTES_PER_SECOND / 1000);
    this.#budgetAtMs = now;
    if (bytes.length > this.#budget) {
      this.#leftOut += bytes.length;
      return;
    }
    this.#budget -= bytes.length;
    if (this.#leftOut > 0) this.#push("stderr", new TextEncoder().encode(`[${this.#leftOut} bytes not shown]\n`));
    this.#leftOut = 0;
    this.#push(stream, bytes);
  }

  /** A line of the runner itself. */
  note(text: string): void {
    this.copy("stderr", new TextEncoder().encode(`kernel-runner: ${text}\n`));
  }

  #push(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    // A console that takes nothing keeps no more than one burst in memory: the budget is given back by writing.
    if (this.#queue.length > 1000) return void (this.#leftOut += bytes.length);
    this.#queue.push([stream, bytes]);
    if (!this.#writing) void this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const [stream, bytes] = next;
      try {
        for (let at = 0; at < bytes.length;) at += await this.#sinks[stream].write(bytes.subarray(at));
      } catch {
        // a closed console is no reason to stop serving
      }
    }
    this.#writing = false;
  }
}

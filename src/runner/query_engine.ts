/** What a running query tells the outside. */
export interface QueryObserver {
  /** Output as it comes; also from what earlier queries left running in the background. */
  onOutput(stream: "stdout" | "stderr", chunk: Uint8Array): void;
  /** The query wants a line of input; everything it wrote before has gone through {@linkcode onOutput}. */
  onWaitingInput(options: { readonly is_password: boolean }): void;
}

/** Runs queries of one language, one at a time, in a state that lasts. */
export interface QueryEngine {
  /** Starts ahead of the first query. Never throws. */
  start(): void;
  /** Resolves with the exit code (06 §4.1) after all output was given. Never rejects. */
  run(code: string): Promise<number>;
  /** Interrupts the query that runs now, if any; more forcefully when repeated. */
  interrupt(): void;
  /** The answer to a question; dropped when there is none (06 D-R7). */
  input(text: string): void;
  /** Ends the interpreter and what it started. */
  stop(graceMs: number): Promise<void>;
}

/** Stands in where there is no way to run queries: says why, and ends each with 127 (06 §4.1). */
export class NoQueryEngine implements QueryEngine {
  readonly #observer: QueryObserver;
  readonly #reason: string;

  constructor(observer: QueryObserver, reason: string) {
    this.#observer = observer;
    this.#reason = reason;
  }

  start(): void {}
  interrupt(): void {}
  input(): void {}
  async stop(): Promise<void> {}

  run(): Promise<number> {
    this.#observer.onOutput("stderr", new TextEncoder().encode(`${this.#reason}\n`));
    return Promise.resolve(127);
  }
}

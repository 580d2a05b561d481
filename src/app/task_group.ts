import type { Log } from "../ports/log.ts";

/** Background work with one end: disposal aborts all of it and waits until it has stopped. */
export class TaskGroup implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts `work` now. A failure is logged here, once; an abort is not a failure. */
  spawn(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const task = this.#guard(name, work);
    this.#running.add(task);
    void task.finally(() => this.#running.delete(task));
    return task;
  }

  async #guard(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await work(this.signal);
    } catch (error) {
      if (!this.signal.aborted) this.#log.error("background task failed", { task: name, error });
    }
  }

  /** Resolves when nothing runs any more, tasks started meanwhile included. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new DOMException("The task group was closed", "AbortError"));
    await this.idle();
  }
}

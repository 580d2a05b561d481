import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { Log } from "../../src/ports/log.ts";

export interface RedisServer {
  readonly host: string;
  readonly port: number;
  /** Blank or absent: no authentication (03 §8). */
  readonly password?: string;
}

export interface RedisConnectionOptions extends RedisServer {
  readonly db: number;
  /** What the connection is for, for the log. */
  readonly purpose: string;
  readonly log: Log;
}

/** One use of the connection: a batch of commands sent together, whose replies are awaited. */
export interface Exchange<T> {
  /** For the error message: `publish "kernel_started"`. */
  readonly attempt: string;
  /** From the call on, waiting for others and for the connection included. */
  readonly deadlineMs: number;
  run(redis: Redis): Promise<T>;
}

/** More exchanges than this waiting for their turn are refused. */
const MAX_WAITING = 1000;
/** A server that owes a reply for this long is given up, and connected to anew. */
const STALLED_MS = 10_000;
/** How long the server has to confirm the end of a connection before it is cut. */
const END_WITHIN_MS = 50;
/** A lost connection is reported at most this often. */
const REPORT_EVERY_MS = 60_000;

interface Waiting {
  /** Sends the commands; settles when the replies are there or the connection is lost. Never rejects. */
  start(redis: Redis): Promise<void>;
  fail(error: unknown): void;
}

/**
 * One connection to one database, used by one exchange at a time, in the order of the calls.
 *
 * An exchange that does not get its turn in time is never sent. One whose replies are late fails for its caller, but the
 * next is sent only after those replies, or the loss of the connection: so nothing overtakes a command that the server
 * may still execute, and a server that does not answer is owed one exchange, not a backlog. Nothing is sent twice: ioredis'
 * own queue and its repetition after a reconnection are off.
 */
export class RedisConnection implements AsyncDisposable {
  readonly #redis: Redis;
  readonly #log: Log;
  readonly #about: Readonly<Record<string, unknown>>;
  readonly #waiting: Waiting[] = [];
  #busy = false;
  #closed = false;
  #lastError: Error | undefined;
  #reportedAt = -Infinity;

  constructor({ host, port, password, db, purpose, log }: RedisConnectionOptions) {
    this.#log = log;
    this.#about = { purpose, host, port };
    this.#redis = new Redis({
      ...{ host, port, db, ...(password ? { password } : {}) },
      protocol: 2, // no HELLO: the Redis servers of this release's time do not know it
      disableClientInfo: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0, // commands without a reply fail when the connection is lost; null would leave them open
      retryStrategy: (attempt) => Math.min(100 * attempt, 1000),
      connectTimeout: 3000,
      socketTimeout: STALLED_MS,
      disconnectTimeout: END_WITHIN_MS,
      keepAlive: 30_000,
    });
    this.#redis.on("error", (error: Error) => this.#report(error));
    this.#redis.on("close", () => this.#report(this.#lastError ?? new Error("The connection was closed")));
    this.#redis.on("ready", () => this.#ready());
  }

  /**
   * @throws {EventSinkUnavailable} at the deadline, and at once when the connection is lost or the server refuses.
   * @throws `signal.reason` once `signal` is aborted. After both, commands already sent may be executed all the same.
   */
  async exchange<T>({ attempt, deadlineMs, run }: Exchange<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#closed) throw new EventSinkUnavailable(attempt, { cause: new Error("The connection is closed") });
    if (this.#waiting.length >= MAX_WAITING) {
      throw new EventSinkUnavailable(attempt, { cause: new Error(`${MAX_WAITING} others are waiting`) });
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting: Waiting = {
      start: (redis) => run(redis).then(resolve, (error) => waiting.fail(error)),
      fail: (error) => reject(new EventSinkUnavailable(attempt, { cause: error })),
    };
    const late = () => waiting.fail(this.#lastError ?? new Error(`No reply within ${deadlineMs} ms`));
    const timer = setTimeout(late, deadlineMs);
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#waiting.push(waiting);
    this.#next();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      const index = this.#waiting.indexOf(waiting);
      if (index >= 0) this.#waiting.splice(index, 1);
    }
  }

  /** Fails what waits and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.fail(new Error("The connection is closed"));
    const ended = new Promise<void>((resolve) => this.#redis.once("end", resolve));
    // Between two attempts to connect nothing ends; the library's timer for a slow end runs all the same.
    const idle = this.#redis.status === "reconnecting" || this.#redis.status === "end";
    this.#redis.disconnect();
    await (idle ? sleep(END_WITHIN_MS) : ended);
  }

  #next(): void {
    if (this.#busy || this.#redis.status !== "ready") return;
    const first = this.#waiting.shift();
    if (first === undefined) return;
    this.#busy = true;
    first.start(this.#redis).finally(() => {
      this.#busy = false;
      this.#next();
    });
  }

  #ready(): void {
    if (this.#lastError !== undefined) this.#log.info("connected to redis again", this.#about);
    this.#lastError = undefined;
    this.#reportedAt = -Infinity;
    this.#next();
  }

  #report(error: Error): void {
    this.#lastError = error;
    if (this.#closed || performance.now() - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = performance.now();
    this.#log.warn("cannot reach redis", { ...this.#about, err: error });
  }
}

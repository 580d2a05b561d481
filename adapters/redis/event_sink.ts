import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { AgentId } from "../../domain/ids.ts";
import type { AgentEvent, AgentInfo, LocalImage } from "../../domain/kernel/events.ts";
import type { EventSink } from "../../src/ports/event_sink.ts";
import type { Log } from "../../src/ports/log.ts";
import { RedisConnection, type RedisServer } from "./connection.ts";
import { encodeEnvelope, encodeEvent, encodeHeartbeat, unreadableTags } from "./event_codec.ts";

const EVENTS_DB = 4;
/** Each entry is taken by exactly one manager process. Source: 02 §1. */
const QUEUE = "events.prodcons";
/** Every manager process hears it. Source: 02 §1. */
const CHANNEL = "events.pubsub";
/** With more entries than this nobody is consuming, and heartbeats only take memory (02-D9). */
const CROWDED = 4000;

export interface RedisEventSinkOptions {
  readonly server: RedisServer;
  readonly agentId: AgentId;
  readonly log: Log;
  /** Default 3000 ms. */
  readonly publishDeadlineMs?: number;
  /** Below the interval of the heartbeats, so that they never pile up. Default 2500 ms. */
  readonly heartbeatDeadlineMs?: number;
}

/**
 * {@linkcode EventSink} of a manager 19.09.5: a list and a channel of Redis, in one transaction (02 §1, 02-D1).
 * Heartbeats have a connection of their own. One that is still unsent when the next comes, or at its deadline, is dropped
 * and fails (02-D8).
 */
export class RedisEventSink implements EventSink, AsyncDisposable {
  readonly #agentId: AgentId;
  readonly #log: Log;
  readonly #publishDeadlineMs: number;
  readonly #heartbeatDeadlineMs: number;
  readonly #events: RedisConnection;
  readonly #heartbeats: RedisConnection;
  #unsent: AbortController | undefined;
  #leftOut: ReadonlySet<string> = new Set();

  constructor(options: RedisEventSinkOptions) {
    const { server, agentId, log, publishDeadlineMs = 3000, heartbeatDeadlineMs = 2500 } = options;
    this.#agentId = agentId;
    this.#log = log;
    this.#publishDeadlineMs = publishDeadlineMs;
    this.#heartbeatDeadlineMs = heartbeatDeadlineMs;
    this.#events = new RedisConnection({ ...server, db: EVENTS_DB, purpose: "events", log });
    this.#heartbeats = new RedisConnection({ ...server, db: EVENTS_DB, purpose: "heartbeats", log });
  }

  async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    const payload = Buffer.from(encodeEnvelope(this.#agentId, encodeEvent(event)));
    await this.#events.exchange({
      attempt: `publish "${event.kind}"`,
      deadlineMs: this.#publishDeadlineMs,
      run: (redis) => produce(redis, payload),
    }, signal);
  }

  async heartbeat(info: AgentInfo, signal: AbortSignal): Promise<void> {
    this.#logLeftOut(info.images);
    this.#unsent?.abort(
      new EventSinkUnavailable("publish a heartbeat", { cause: new Error("A newer one is waiting") }),
    );
    const unsent = this.#unsent = new AbortController();
    try {
      await this.#heartbeats.exchange({
        attempt: "publish a heartbeat",
        deadlineMs: this.#heartbeatDeadlineMs,
        run: async (redis) => {
          if (this.#unsent === unsent) this.#unsent = undefined;
          const payload = Buffer.from(encodeEnvelope(this.#agentId, encodeHeartbeat(info)));
          await produceUnlessCrowded(redis, payload);
        },
      }, AbortSignal.any([signal, unsent.signal]));
    } finally {
      if (this.#unsent === unsent) this.#unsent = undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#events[Symbol.asyncDispose](), this.#heartbeats[Symbol.asyncDispose]()]);
  }

  /** Once for each tag, and again when it was gone meanwhile. */
  #logLeftOut(images: readonly LocalImage[]): void {
    const leftOut = new Set(unreadableTags(images));
    for (const tag of leftOut) {
      if (!this.#leftOut.has(tag)) this.#log.warn("image not announced: the manager cannot read its tag", { tag });
    }
    this.#leftOut = leftOut;
  }
}

async function produce(redis: Redis, payload: Buffer): Promise<void> {
  throwFirstError(await redis.multi().rpush(QUEUE, payload).publish(CHANNEL, payload).exec());
}

async function produceUnlessCrowded(redis: Redis, payload: Buffer): Promise<void> {
  if (await redis.llen(QUEUE) <= CROWDED) return await produce(redis, payload);
  await redis.publish(CHANNEL, payload);
}

function throwFirstError(results: [error: Error | null, result: unknown][] | null): void {
  if (results === null) throw new Error("The transaction was discarded");
  for (const [error] of results) if (error !== null) throw error;
}

import { Buffer } from "node:buffer";
import { encode } from "@msgpack/msgpack";
import type { AgentId, KernelId } from "../../domain/ids.ts";
import type { KernelMetrics, NodeMetrics } from "../../domain/stats/metrics.ts";
import type { Log } from "../../src/ports/log.ts";
import type { StatisticsStore } from "../../src/ports/statistics_store.ts";
import { RedisConnection, type RedisServer } from "./connection.ts";

const STATISTICS_DB = 0;
const EXPIRY_MS = 30_000;

export interface RedisStatisticsOptions {
  readonly server: RedisServer;
  readonly agentId: AgentId;
  readonly log: Log;
  /** Default 2000 ms. */
  readonly deadlineMs?: number;
}

/** {@linkcode StatisticsStore} in Redis: one expiring text key for the node and one for each kernel. Source: 03 §9. */
export class RedisStatistics implements StatisticsStore, AsyncDisposable {
  readonly #agentId: AgentId;
  readonly #deadlineMs: number;
  readonly #connection: RedisConnection;

  constructor({ server, agentId, log, deadlineMs = 2000 }: RedisStatisticsOptions) {
    this.#agentId = agentId;
    this.#deadlineMs = deadlineMs;
    this.#connection = new RedisConnection({ ...server, db: STATISTICS_DB, purpose: "statistics", log });
  }

  async put(
    node: NodeMetrics | undefined,
    kernels: ReadonlyMap<KernelId, KernelMetrics>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const entries: [string, NodeMetrics | KernelMetrics][] = [...kernels];
    if (node !== undefined) entries.unshift([this.#agentId, node]);
    if (entries.length === 0) return;
    await this.#connection.exchange({
      attempt: "write the statistics",
      deadlineMs: this.#deadlineMs,
      run: async (redis) => {
        const pipeline = redis.pipeline();
        for (const [key, metrics] of entries) pipeline.set(key, Buffer.from(encode(metrics)), "PX", EXPIRY_MS);
        for (const [error] of await pipeline.exec() ?? []) if (error !== null) throw error;
      },
    }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

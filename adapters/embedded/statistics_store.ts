import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { KernelId } from "../../domain/ids.ts";
import type { KernelMetrics, NodeMetrics } from "../../domain/stats/metrics.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { StatisticsStore } from "../../src/ports/statistics_store.ts";
import type { EmbeddedStore } from "./embedded_store.ts";

const EXPIRY_MS = 30_000;
/** The node's key; kernels stand under their ids. */
const NODE = "node";

/** {@linkcode StatisticsStore} in one file. */
export class EmbeddedStatistics implements StatisticsStore {
  readonly #store: EmbeddedStore;
  readonly #clock: Clock;

  constructor(store: EmbeddedStore, { clock }: { clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  // async, so that a failure comes as a rejection
  // deno-lint-ignore require-await
  async put(
    node: NodeMetrics | undefined,
    kernels: ReadonlyMap<KernelId, KernelMetrics>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const entries: [string, NodeMetrics | KernelMetrics][] = [...kernels];
    if (node !== undefined) entries.push([NODE, node]);
    try {
      this.#store.transaction(() => this.#replace(entries));
    } catch (error) {
      throw new EventSinkUnavailable("write the statistics", { cause: error });
    }
  }

  /** The newest statistics of the node; undefined when they have expired. */
  node(): NodeMetrics | undefined {
    return this.#read(NODE);
  }

  kernel(kernelId: KernelId): KernelMetrics | undefined {
    return this.#read(kernelId);
  }

  #replace(entries: readonly (readonly [string, NodeMetrics | KernelMetrics])[]): void {
    const nowMs = this.#clock.now();
    this.#store.run("DELETE FROM statistics WHERE expires_at_ms <= ?", nowMs);
    for (const [key, metrics] of entries) {
      this.#store.run(
        "INSERT OR REPLACE INTO statistics (key, expires_at_ms, metrics) VALUES (?, ?, ?)",
        key,
        nowMs + EXPIRY_MS,
        JSON.stringify(metrics),
      );
    }
  }

  #read<Metrics>(key: string): Metrics | undefined {
    const sql = "SELECT metrics FROM statistics WHERE key = ? AND expires_at_ms > ?";
    const [row] = this.#store.all(sql, key, this.#clock.now());
    return row && JSON.parse(String(row.metrics)); // written by put() alone
  }
}

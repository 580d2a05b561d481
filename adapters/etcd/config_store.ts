import { setTimeout as sleep } from "node:timers/promises";
import { buildTree, pathBelow } from "../../domain/config/tree.ts";
import { ConfigStoreUnavailable } from "../../domain/errors.ts";
import type { ConfigStore, ConfigTree, ReadScope } from "../../src/ports/config_store.ts";
import type { Log } from "../../src/ports/log.ts";
import { EtcdClient } from "./client.ts";
import { endOfRange, type KeyLayout, physicalKey, scopesOf } from "./keys.ts";

export interface EtcdConfigStoreOptions extends KeyLayout {
  readonly host: string;
  readonly port: number;
  /** Blank or absent: no authentication (03 §1). */
  readonly user?: string;
  readonly password?: string;
  readonly log: Log;
  /** How long one call may take. Default 3000 ms. */
  readonly deadlineMs?: number;
  /** The pause between two looks of {@linkcode EtcdConfigStore.waitFor} while the store is out. Default 1000 ms. */
  readonly retryMs?: number;
}

/** How long a watch is trusted before the key is looked at again. */
const LOOK_AGAIN_MS = 10_000;

/** {@linkcode ConfigStore} in etcd, API v3, laid out as 03 §2. Connects at its first call, and again after an outage. */
export class EtcdConfigStore implements ConfigStore, AsyncDisposable {
  readonly #layout: KeyLayout;
  readonly #client: EtcdClient;
  readonly #log: Log;
  readonly #retryMs: number;

  constructor({ log, deadlineMs = 3000, retryMs = 1000, ...options }: EtcdConfigStoreOptions) {
    this.#layout = options;
    this.#client = new EtcdClient({ ...options, deadlineMs });
    this.#log = log;
    this.#retryMs = retryMs;
  }

  async get(key: string, scope: ReadScope, signal: AbortSignal): Promise<string | undefined> {
    const ranges = scopesOf(scope).map((one) => ({ key: physicalKey(this.#layout, one, key) }));
    const reply = await this.#attempt(`read "${key}"`, signal, () => this.#client.read(ranges, signal));
    return reply.ranges.flat()[0]?.[1]; // an existing empty value counts (03 §2.1)
  }

  async getPrefix(prefix: string, scope: ReadScope, signal: AbortSignal): Promise<ConfigTree> {
    const wanted = prefix.replace(/^\//, "").replace(/\/$/, "");
    const bases = scopesOf(scope).map((one) => physicalKey(this.#layout, one, ""));
    const ranges = bases.map((base) => ({ key: `${base}${wanted}`, end: endOfRange(`${base}${wanted}`) }));
    const reply = await this.#attempt(`read "${prefix}"`, signal, () => this.#client.read(ranges, signal));
    const values = new Map<string, string>();
    for (const [index, base] of [...bases.entries()].reverse()) { // the winning scope last (03-D4: path by path)
      for (const [key, value] of reply.ranges[index] ?? []) {
        const path = pathBelow(wanted, key.slice(base.length));
        if (path !== undefined) values.set(path, value);
      }
    }
    return buildTree(values);
  }

  async put(key: string, value: string, signal: AbortSignal): Promise<void> {
    const physical = physicalKey(this.#layout, "global", key);
    await this.#attempt(`write "${key}"`, signal, () => this.#client.put(physical, value, signal));
  }

  async waitFor(key: string, signal: AbortSignal): Promise<string> {
    const physical = physicalKey(this.#layout, "global", key); // look and watch in one scope (03-D2)
    for (let outage = false;;) {
      try {
        const { revision, ranges } = await this.#client.read([{ key: physical }], signal);
        if (outage) this.#log.info("configuration store is back", { key });
        outage = false;
        // Nothing is missed in between: the watch starts at the revision after the look (03-D1).
        const watch = { from: revision + 1n, limitMs: LOOK_AGAIN_MS };
        const value = ranges[0]?.[0]?.[1] ?? await this.#client.nextPut(physical, watch, signal);
        if (value !== undefined) return value;
      } catch (err) {
        signal.throwIfAborted();
        if (this.#client.closed.aborted) throw new ConfigStoreUnavailable(`read "${key}"`, { cause: err });
        if (!outage) this.#log.warn("waiting for the configuration store", { key, err });
        outage = true;
        const waking = AbortSignal.any([signal, this.#client.closed]);
        await sleep(this.#retryMs, undefined, { signal: waking }).catch(() => undefined); // looked at above
      }
    }
  }

  /** Ends what is still waiting and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  async #attempt<T>(attempt: string, signal: AbortSignal, body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      signal.throwIfAborted();
      throw new ConfigStoreUnavailable(attempt, { cause: error });
    }
  }
}

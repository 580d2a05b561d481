/** Where a key is written or looked for. `merged`: node, then scaling group, then global; the first value wins. */
export type ConfigScope = "global" | "scaling-group" | "node";
export type ReadScope = ConfigScope | "merged";

/** Values below a prefix, by path component; a key's own value beside children stands under `""`. Source: 03 §2.3. */
export type ConfigTree = { readonly [name: string]: string | ConfigTree };

/**
 * The cluster's shared configuration, text values under text keys (03 §2). Keys have no leading slash.
 * Every method throws {@linkcode ConfigStoreUnavailable} when the store does not answer within a few seconds, and
 * `signal.reason` once `signal` is aborted.
 */
export interface ConfigStore {
  /** The value, also an empty one; undefined if the key does not exist. */
  get(key: string, scope: ReadScope, signal: AbortSignal): Promise<string | undefined>;
  /**
   * All values below `prefix`, cut at a component boundary: `config/redis` does not match `config/redis2/x`.
   * `merged` merges deeply. An empty map if there is nothing.
   */
  getPrefix(prefix: string, scope: ReadScope, signal: AbortSignal): Promise<ConfigTree>;
  /** Writes a value in the global scope, replacing any. */
  put(key: string, value: string, signal: AbortSignal): Promise<void>;
  /**
   * Resolves with the value of a global key as soon as it exists, however long that takes; a write between the look and
   * the watch is not missed, and an outage of the store is waited out instead of thrown.
   */
  waitFor(key: string, signal: AbortSignal): Promise<string>;
}

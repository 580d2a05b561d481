import { buildTree, pathBelow } from "../../domain/config/tree.ts";
import { ConfigStoreUnavailable } from "../../domain/errors.ts";
import type { ConfigScope, ConfigStore, ConfigTree, ReadScope } from "../../src/ports/config_store.ts";
import type { EmbeddedStore, SqlRow } from "./embedded_store.ts";

/** {@linkcode ConfigStore} in one file. `waitFor` notices the writes of this object, not those of other processes. */
export class EmbeddedConfigStore implements ConfigStore {
  readonly #store: EmbeddedStore;
  readonly #waiting = new Map<string, Set<(value: string) => void>>();

  constructor(store: EmbeddedStore) {
    this.#store = store;
  }

  // async, so that a failure comes as a rejection; likewise below
  // deno-lint-ignore require-await
  async get(key: string, scope: ReadScope, signal: AbortSignal): Promise<string | undefined> {
    signal.throwIfAborted();
    return attempt(`read "${key}"`, () => {
      const found = scopesOf(scope).map((one) => this.#value(one, key)).findLast((value) => value !== undefined);
      return found;
    });
  }

  // deno-lint-ignore require-await
  async getPrefix(prefix: string, scope: ReadScope, signal: AbortSignal): Promise<ConfigTree> {
    signal.throwIfAborted();
    return attempt(`read "${prefix}"`, () => {
      const below = new Map<string, string>();
      for (const row of scopesOf(scope).flatMap((one) => this.#rows(one, prefix))) {
        const path = pathBelow(prefix, text(row.key));
        if (path !== undefined) below.set(path, text(row.value));
      }
      return buildTree(below);
    });
  }

  // deno-lint-ignore require-await
  async put(key: string, value: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.write("global", key, value);
  }

  /** What an operator would do in etcd. @throws {ConfigStoreUnavailable} */
  write(scope: ConfigScope, key: string, value: string): void {
    attempt(`write "${key}"`, () => {
      this.#store.run("INSERT OR REPLACE INTO config (scope, key, value) VALUES (?, ?, ?)", scope, key, value);
    });
    if (scope === "global") { for (const wake of this.#waiting.get(key) ?? []) wake(value); }
  }

  async waitFor(key: string, signal: AbortSignal): Promise<string> {
    const known = await this.get(key, "global", signal);
    if (known !== undefined) return known;
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    waiting.add(resolve);
    try {
      // Looked at again: it may have been written while the first look was awaited.
      return this.#value("global", key) ?? await promise;
    } finally {
      signal.removeEventListener("abort", abort);
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key);
    }
  }

  #value(scope: ConfigScope, key: string): string | undefined {
    const [row] = this.#store.all("SELECT value FROM config WHERE scope = ? AND key = ?", scope, key);
    return row && text(row.value);
  }

  /** A superset of what is below `prefix`. */
  #rows(scope: ConfigScope, prefix: string): readonly SqlRow[] {
    return this.#store.all("SELECT key, value FROM config WHERE scope = ? AND key >= ? ORDER BY key", scope, prefix);
  }
}

const SCOPES: readonly ConfigScope[] = ["global", "scaling-group", "node"];

/** The scopes that a read looks at, the winning one last. */
function scopesOf(scope: ReadScope): readonly ConfigScope[] {
  return scope === "merged" ? SCOPES : [scope];
}

function text(value: unknown): string {
  return String(value); // the column is TEXT
}

function attempt<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new ConfigStoreUnavailable(what, { cause: error });
  }
}

import { buildTree, pathBelow } from "../../domain/config/tree.ts";
import { ConfigStoreUnavailable } from "../../domain/errors.ts";
import type { ConfigScope, ConfigStore, ConfigTree, ReadScope } from "../../src/ports/config_store.ts";
import { FaultPlan } from "./fault_plan.ts";

const SCOPES: readonly ConfigScope[] = ["global", "scaling-group", "node"];

/** In-memory {@linkcode ConfigStore}. Fault operations: `get`, `getPrefix`, `put`. */
export class FakeConfigStore implements ConfigStore {
  /** By scope, then by key. */
  readonly values: Record<ConfigScope, Map<string, string>> = {
    "global": new Map(),
    "scaling-group": new Map(),
    "node": new Map(),
  };
  readonly #waiting = new Map<string, Set<(value: string) => void>>();
  #reachable = true;

  constructor(readonly faults: FaultPlan = new FaultPlan()) {}

  /** While false every call fails, and what waits goes on waiting. */
  set reachable(reachable: boolean) {
    this.#reachable = reachable;
    for (const key of this.#waiting.keys()) this.#wake(key);
  }

  /** What the manager or an operator would do. Wakes who waits for a global key. */
  write(scope: ConfigScope, key: string, value: string): void {
    this.values[scope].set(key, value);
    this.#wake(key);
  }

  async get(key: string, scope: ReadScope, signal: AbortSignal): Promise<string | undefined> {
    await this.#begin("get", `read "${key}"`, signal);
    const found = scopesOf(scope).findLast((one) => this.values[one].has(key));
    return found && this.values[found].get(key);
  }

  async getPrefix(prefix: string, scope: ReadScope, signal: AbortSignal): Promise<ConfigTree> {
    await this.#begin("getPrefix", `read "${prefix}"`, signal);
    const below = new Map<string, string>();
    for (const [key, value] of scopesOf(scope).flatMap((one) => [...this.values[one]])) {
      const path = pathBelow(prefix, key);
      if (path !== undefined) below.set(path, value);
    }
    return buildTree(below);
  }

  async put(key: string, value: string, signal: AbortSignal): Promise<void> {
    await this.#begin("put", `write "${key}"`, signal);
    this.write("global", key, value);
  }

  waitFor(key: string, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const waiting = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiting);
      const wake = (value: string) => {
        signal.removeEventListener("abort", abort);
        waiting.delete(wake);
        resolve(value);
      };
      const abort = () => {
        waiting.delete(wake);
        reject(signal.reason);
      };
      waiting.add(wake);
      signal.addEventListener("abort", abort, { once: true });
      this.#wake(key);
    });
  }

  #wake(key: string): void {
    const value = this.values.global.get(key);
    if (value === undefined || !this.#reachable) return;
    for (const wake of this.#waiting.get(key) ?? []) wake(value);
  }

  async #begin(operation: string, attempt: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.faults.next(operation);
    if (this.#reachable) return;
    await Promise.resolve(); // a store that is out answers late: the caller can lose interest first
    signal.throwIfAborted();
    throw new ConfigStoreUnavailable(attempt);
  }
}

/** The scopes that a read looks at, the winning one last. */
function scopesOf(scope: ReadScope): readonly ConfigScope[] {
  return scope === "merged" ? SCOPES : [scope];
}

import assert from "node:assert/strict";
import { FakeConfigStore } from "../../adapters/fake/config_store.ts";
import type { ConfigTree, ReadScope } from "../../src/ports/config_store.ts";
import { CONFIG_STORE_CASES, configStoreContract, type ConfigStoreHarness } from "./config_store.ts";
import { failingCases } from "./contract_case.ts";

// deno-lint-ignore require-await
async function harnessOf(store: FakeConfigStore): Promise<ConfigStoreHarness> {
  return {
    store,
    // deno-lint-ignore require-await
    async write(scope, key, value) {
      store.write(scope, key, value);
    },
    // deno-lint-ignore require-await
    async outage() {
      store.reachable = false;
      return {
        // deno-lint-ignore require-await
        async [Symbol.asyncDispose]() {
          store.reachable = true;
        },
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}

configStoreContract("FakeConfigStore", () => harnessOf(new FakeConfigStore()));

class EmptyIsAbsent extends FakeConfigStore {
  override async get(key: string, scope: ReadScope, signal: AbortSignal): Promise<string | undefined> {
    return await super.get(key, scope, signal) || undefined;
  }
}

class MergesShallowly extends FakeConfigStore {
  override async getPrefix(prefix: string, scope: ReadScope, signal: AbortSignal): Promise<ConfigTree> {
    if (scope !== "merged") return await super.getPrefix(prefix, scope, signal);
    let merged: ConfigTree = {};
    for (const one of ["global", "scaling-group", "node"] as const) {
      merged = { ...merged, ...await super.getPrefix(prefix, one, signal) };
    }
    return merged;
  }
}

class OutageEndsTheWait extends FakeConfigStore {
  override async waitFor(key: string, signal: AbortSignal): Promise<string> {
    await super.get(key, "global", signal); // throws while the store is out
    return await super.waitFor(key, signal);
  }
}

for (const Mutation of [EmptyIsAbsent, MergesShallowly, OutageEndsTheWait]) {
  Deno.test(`configStoreContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(CONFIG_STORE_CASES, () => harnessOf(new Mutation())), []);
  });
}

import assert from "node:assert/strict";
import { ConfigStoreUnavailable } from "../../domain/errors.ts";
import type { ConfigScope, ConfigStore } from "../../src/ports/config_store.ts";
import { type ContractCase, registerContract, within } from "./contract_case.ts";

export interface ConfigStoreHarness extends AsyncDisposable {
  readonly store: ConfigStore;
  /** Writes behind the store's back, as the manager or an operator does. */
  write(scope: ConfigScope, key: string, value: string): Promise<void>;
  /** Makes the store unreachable until it is disposed of. */
  outage(): Promise<AsyncDisposable>;
}

export function configStoreContract(
  name: string,
  make: () => Promise<ConfigStoreHarness>,
  options?: { outages?: boolean; ignore?: boolean },
): void {
  registerContract(CONFIG_STORE_CASES, name, make, options);
}

/** No case may take longer than this for one call. */
const LIMIT_MS = 15_000;
const signal = new AbortController().signal;
const reason = new Error("the caller lost interest");

/** The calls as [name, call], for sentences about every method. */
function everyMethod(store: ConfigStore, signal: AbortSignal): [string, () => Promise<unknown>][] {
  return [
    ["get", () => store.get("a", "merged", signal)],
    ["getPrefix", () => store.getPrefix("a", "merged", signal)],
    ["put", () => store.put("a", "1", signal)],
  ];
}

/** What the store answers once it answers again. */
async function answerOf(store: ConfigStore): Promise<string | undefined> {
  for (const deadline = Date.now() + LIMIT_MS;;) {
    try {
      return await store.get("a", "merged", signal);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

const GET_CASES: readonly ContractCase<ConfigStoreHarness>[] = [
  {
    name: "get() gives the value",
    async run(make) {
      await using harness = await make();
      await harness.write("global", "volumes/_mount", "/mnt/빅 데이터");
      assert.equal(await harness.store.get("volumes/_mount", "merged", signal), "/mnt/빅 데이터");
    },
  },
  {
    name: "get() gives an empty value as it is",
    async run(make) {
      await using harness = await make();
      await harness.write("global", "volumes/_fsprefix", "");
      assert.equal(await harness.store.get("volumes/_fsprefix", "merged", signal), "");
    },
  },
  {
    name: "get() gives undefined if the key does not exist",
    async run(make) {
      await using harness = await make();
      await harness.write("global", "nodes/manager/event_addr", "127.0.0.1:5002");
      assert.equal(await harness.store.get("nodes/manager", "merged", signal), undefined);
    },
  },
  {
    name: "[03 §2.1] get(merged) takes the node's value, then the scaling group's, then the global one",
    async run(make) {
      await using harness = await make();
      const seen: (string | undefined)[] = [];
      for (const [scope, value] of [["global", "3"], ["scaling-group", "2"], ["node", ""]] as const) {
        await harness.write(scope, "key", value);
        seen.push(await harness.store.get("key", "merged", signal));
      }
      assert.deepEqual(seen, ["3", "2", ""]);
    },
  },
  {
    name: "get(scope) looks in that scope alone",
    async run(make) {
      await using harness = await make();
      await harness.write("scaling-group", "key", "group");
      assert.equal(await harness.store.get("key", "global", signal), undefined);
      assert.equal(await harness.store.get("key", "node", signal), undefined);
      assert.equal(await harness.store.get("key", "scaling-group", signal), "group");
    },
  },
];

const PREFIX_CASES: readonly ContractCase<ConfigStoreHarness>[] = [
  {
    name: "getPrefix() gives all values below the prefix by path component",
    async run(make) {
      await using harness = await make();
      await harness.write("global", "config/redis/addr", "127.0.0.1:6379");
      await harness.write("global", "config/redis/a/b/c", "deep");
      await harness.write("global", "config/other", "no");
      assert.deepEqual(await harness.store.getPrefix("config/redis", "merged", signal), {
        addr: "127.0.0.1:6379",
        a: { b: { c: "deep" } },
      });
    },
  },
  {
    name: '[03 §2.3] getPrefix() puts a key\'s own value beside its children under ""',
    async run(make) {
      await using harness = await make();
      await harness.write("global", "config/docker/registry", "own");
      await harness.write("global", "config/docker/registry/x", "url");
      await harness.write("global", "config/docker/registry/x/username", "u");
      assert.deepEqual(await harness.store.getPrefix("config/docker/registry", "global", signal), {
        "": "own",
        x: { "": "url", username: "u" },
      });
    },
  },
  {
    name: "[03-D3] getPrefix() is cut at a component boundary",
    async run(make) {
      await using harness = await make();
      for (
        const neighbour of ["config/redis2/x", "config/redis-x", "config/redis.x/y", "config/redi", "config/redisé"]
      ) {
        await harness.write("global", neighbour, "no");
      }
      await harness.write("global", "config/redis/addr", "yes");
      assert.deepEqual(await harness.store.getPrefix("config/redis", "merged", signal), { addr: "yes" });
    },
  },
  {
    name: "[03-D4] getPrefix(merged) merges deeply",
    async run(make) {
      await using harness = await make();
      await harness.write("global", "config/plugins/cuda/a", "global");
      await harness.write("global", "config/plugins/cuda/b/c", "global");
      await harness.write("scaling-group", "config/plugins/cuda/b/d", "group");
      await harness.write("scaling-group", "config/plugins/tpu", "group");
      await harness.write("node", "config/plugins/cuda/a", "node");
      assert.deepEqual(await harness.store.getPrefix("config/plugins", "merged", signal), {
        cuda: { a: "node", b: { c: "global", d: "group" } },
        tpu: "group",
      });
    },
  },
  {
    name: "getPrefix(scope) looks in that scope alone",
    async run(make) {
      await using harness = await make();
      await harness.write("global", "config/plugins/a", "global");
      await harness.write("node", "config/plugins/b", "node");
      assert.deepEqual(await harness.store.getPrefix("config/plugins", "node", signal), { b: "node" });
    },
  },
  {
    name: "getPrefix() gives an empty map if there is nothing",
    async run(make) {
      await using harness = await make();
      assert.deepEqual(await harness.store.getPrefix("config/plugins", "merged", signal), {});
    },
  },
];

const PUT_CASES: readonly ContractCase<ConfigStoreHarness>[] = [
  {
    name: "put() writes in the global scope",
    async run(make) {
      await using harness = await make();
      await harness.store.put("nodes/agents/i-1/ip", "10.0.0.1", signal);
      assert.equal(await harness.store.get("nodes/agents/i-1/ip", "global", signal), "10.0.0.1");
      assert.equal(await harness.store.get("nodes/agents/i-1/ip", "scaling-group", signal), undefined);
    },
  },
  {
    name: "put() replaces any value, also by an empty one",
    async run(make) {
      await using harness = await make();
      const seen: (string | undefined)[] = [];
      for (const value of ["starting", "running", ""]) {
        await harness.store.put("status", value, signal);
        seen.push(await harness.store.get("status", "global", signal));
      }
      assert.deepEqual(seen, ["starting", "running", ""]);
    },
  },
  {
    name: "[03 §4] put() keeps a trailing slash as part of the key",
    async run(make) {
      await using harness = await make();
      await harness.store.put("nodes/agents/i-1/", "running", signal);
      assert.equal(await harness.store.get("nodes/agents/i-1/", "global", signal), "running");
      assert.equal(await harness.store.get("nodes/agents/i-1", "global", signal), undefined);
    },
  },
];

const WAIT_CASES: readonly ContractCase<ConfigStoreHarness>[] = [
  {
    name: "waitFor() resolves with a value that exists, also an empty one",
    async run(make) {
      await using harness = await make();
      await harness.write("global", "nodes/manager", "");
      assert.equal(await within(LIMIT_MS, harness.store.waitFor("nodes/manager", signal)), "");
    },
  },
  {
    name: "waitFor() resolves as soon as the key exists, for everyone who waits",
    async run(make) {
      await using harness = await make();
      const waiting = [1, 2].map(() => harness.store.waitFor("nodes/manager", signal));
      await harness.store.get("nodes/manager", "global", signal);
      await harness.write("global", "nodes/manager", "i-manager");
      assert.deepEqual(await within(LIMIT_MS, Promise.all(waiting)), ["i-manager", "i-manager"]);
    },
  },
  {
    name: "[03-D1] waitFor() does not miss a write between the look and the watch",
    async run(make) {
      await using harness = await make();
      const keys = Array.from({ length: 20 }, (_, index) => `nodes/manager-${index}`);
      const waiting = keys.map((key) => harness.store.waitFor(key, signal));
      await Promise.all(keys.map((key) => harness.store.put(key, `of ${key}`, signal)));
      assert.deepEqual(await within(LIMIT_MS, Promise.all(waiting)), keys.map((key) => `of ${key}`));
    },
  },
  {
    name: "[03-D2] waitFor() takes a global key only",
    async run(make) {
      await using harness = await make();
      const waiting = harness.store.waitFor("nodes/manager", signal);
      await harness.write("node", "nodes/manager", "node");
      await harness.write("scaling-group", "nodes/manager", "group");
      await harness.write("global", "nodes/manager/event_addr", "below");
      await harness.write("global", "nodes/manager", "global");
      assert.equal(await within(LIMIT_MS, waiting), "global");
    },
  },
  {
    name: "waitFor() throws the signal's reason once it is aborted",
    async run(make) {
      await using harness = await make();
      const controller = new AbortController();
      const waiting = harness.store.waitFor("nodes/manager", controller.signal);
      const rejected = assert.rejects(within(LIMIT_MS, waiting), reason);
      await harness.store.get("nodes/manager", "global", signal);
      controller.abort(reason);
      await rejected;
      await assert.rejects(within(LIMIT_MS, harness.store.waitFor("nodes/manager", controller.signal)), reason);
    },
  },
  {
    name: "waitFor() waits out an outage before its look",
    outage: true,
    async run(make) {
      await using harness = await make();
      await harness.write("global", "nodes/manager", "i-manager");
      const outage = await harness.outage();
      const waiting = harness.store.waitFor("nodes/manager", signal);
      await assert.rejects(harness.store.get("nodes/manager", "global", signal), ConfigStoreUnavailable);
      await outage[Symbol.asyncDispose]();
      assert.equal(await within(LIMIT_MS, waiting), "i-manager");
    },
  },
  {
    name: "waitFor() waits out an outage during its watch",
    outage: true,
    async run(make) {
      await using harness = await make();
      const waiting = harness.store.waitFor("nodes/manager", signal);
      await harness.store.get("nodes/manager", "global", signal);
      const outage = await harness.outage();
      await assert.rejects(harness.store.get("nodes/manager", "global", signal), ConfigStoreUnavailable);
      await outage[Symbol.asyncDispose]();
      await harness.write("global", "nodes/manager", "i-manager");
      assert.equal(await within(LIMIT_MS, waiting), "i-manager");
    },
  },
];

const FAILURE_CASES: readonly ContractCase<ConfigStoreHarness>[] = [
  {
    name: "every method throws the signal's reason if it is aborted",
    async run(make) {
      await using harness = await make();
      for (const [, call] of everyMethod(harness.store, AbortSignal.abort(reason))) {
        await assert.rejects(within(LIMIT_MS, call()), reason);
      }
    },
  },
  {
    name:
      "every method but waitFor() throws ConfigStoreUnavailable when the store does not answer, and works again after",
    outage: true,
    async run(make) {
      await using harness = await make();
      const outage = await harness.outage();
      for (const [, call] of everyMethod(harness.store, signal)) {
        await assert.rejects(within(LIMIT_MS, call()), ConfigStoreUnavailable);
      }
      await outage[Symbol.asyncDispose]();
      await harness.write("global", "a", "2");
      assert.equal(await answerOf(harness.store), "2");
    },
  },
  {
    name: "a call throws the signal's reason once it is aborted during an outage",
    outage: true,
    async run(make) {
      await using harness = await make();
      const outage = await harness.outage();
      for (const [name] of everyMethod(harness.store, signal)) {
        const controller = new AbortController();
        const call = everyMethod(harness.store, controller.signal).find(([other]) => other === name);
        const rejected = assert.rejects(within(LIMIT_MS, call?.[1]() ?? Promise.resolve()), reason);
        controller.abort(reason);
        await rejected;
      }
      await outage[Symbol.asyncDispose]();
      await answerOf(harness.store);
    },
  },
];

export const CONFIG_STORE_CASES = [...GET_CASES, ...PREFIX_CASES, ...PUT_CASES, ...WAIT_CASES, ...FAILURE_CASES];

import assert from "node:assert/strict";
import { EtcdConfigStore, type EtcdConfigStoreOptions } from "../../adapters/etcd/config_store.ts";
import { parseAgentId } from "../../domain/ids.ts";
import type { ConfigScope } from "../../src/ports/config_store.ts";
import type { Log } from "../../src/ports/log.ts";
import { CONFIG_STORE_CASES, configStoreContract, type ConfigStoreHarness } from "../contract/config_store.ts";
import { registerContract, within } from "../contract/contract_case.ts";
import { isInstalled, TestServer } from "./servers.ts";

const ignore = !(await isInstalled("etcd") && await isInstalled("etcdctl"));
const signal = new AbortController().signal;
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const SCOPE_PREFIX: Record<ConfigScope, string> = {
  "global": "",
  "scaling-group": "sgroup/default/",
  "node": "nodes/agents/i-worker1/",
};

let server: TestServer;
let namespaces = 0;
Deno.test.beforeAll(async () => {
  if (!ignore) server = await TestServer.etcd();
});
Deno.test.afterAll(async () => {
  if (!ignore) await server[Symbol.asyncDispose]();
});

function openStore(port: number, options: Partial<EtcdConfigStoreOptions> = {}): EtcdConfigStore {
  return new EtcdConfigStore({
    host: "127.0.0.1",
    port,
    namespace: "local",
    scalingGroup: "default",
    agentId: parseAgentId("i-worker1"),
    log: silent,
    deadlineMs: 3000,
    retryMs: 50,
    ...options,
  });
}

async function etcdctl(port: number, ...args: string[]): Promise<string> {
  const command = new Deno.Command("etcdctl", {
    args: [`--endpoints=127.0.0.1:${port}`, ...args],
    env: { ETCDCTL_API: "3" },
  });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Writes by the physical keys of 03 §2.1, spelled out here, through etcd's own tool. */
function makeHarness(used: TestServer, lose: () => Promise<AsyncDisposable>): ConfigStoreHarness {
  const namespace = `test${++namespaces}`;
  const store = openStore(used.port, { namespace, deadlineMs: 1000 });
  return {
    store,
    async write(scope, key, value) {
      await etcdctl(used.port, "put", `/sorna/${namespace}/${SCOPE_PREFIX[scope]}${key}`, "--", value);
    },
    outage: lose,
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/** An outage that ends once, when it is disposed of the first time. */
function outage(end: () => void | Promise<void>): AsyncDisposable {
  let over: Promise<void> | undefined;
  return { [Symbol.asyncDispose]: () => over ??= Promise.resolve(end()) };
}

// deno-lint-ignore require-await
const onSharedServer = async () =>
  // deno-lint-ignore require-await
  makeHarness(server, async () => {
    server.freeze();
    return outage(() => server.resume());
  });

/** A server of its own, because a test may only end the processes that it started. */
async function onOwnServer(): Promise<ConfigStoreHarness> {
  const own = await TestServer.etcd();
  const harness = makeHarness(own, async () => {
    await own.kill();
    return outage(() => own.start());
  });
  return {
    ...harness,
    async [Symbol.asyncDispose]() {
      await harness[Symbol.asyncDispose]();
      await own[Symbol.asyncDispose]();
    },
  };
}

configStoreContract("EtcdConfigStore", onSharedServer, { ignore });
registerContract(CONFIG_STORE_CASES.filter((one) => one.outage), "EtcdConfigStore, etcd killed", onOwnServer, {
  ignore,
});

Deno.test({
  name: "[03 §4] put() writes the keys that the manager reads",
  ignore,
  async fn() {
    await using store = openStore(server.port, { namespace: "layout" });
    await store.put("nodes/agents/i-worker1/", "running", signal);
    await store.put("nodes/agents/i-worker1/ip", "10.0.0.1", signal);
    assert.equal(
      await etcdctl(server.port, "get", "--prefix", "/sorna/layout/"),
      "/sorna/layout/nodes/agents/i-worker1/\nrunning\n/sorna/layout/nodes/agents/i-worker1/ip\n10.0.0.1\n",
    );
  },
});

Deno.test({
  name: "[03 §1] EtcdConfigStore authenticates, and again when its token is refused",
  ignore,
  async fn() {
    await using guarded = await TestServer.etcd("--auth-token-ttl", "1");
    const { port } = guarded;
    await etcdctl(port, "user", "add", "root:secret");
    await etcdctl(port, "user", "grant-role", "root", "root");
    await etcdctl(port, "auth", "enable");
    await using store = openStore(port, { user: "root", password: "secret" });
    await store.put("key", "1", signal);
    await guarded.kill(); // the new process knows none of the old one's tokens
    await guarded.start();
    assert.equal(await eventually(() => store.get("key", "global", signal)), "1");
    await using wrong = openStore(port, { user: "root", password: "wrong" });
    await assert.rejects(wrong.get("key", "global", signal), { code: "config_store_unavailable" });
  },
});

Deno.test({
  name: "dispose() ends every call that is still waiting",
  ignore,
  async fn() {
    const store = openStore(server.port, { namespace: "dispose", deadlineMs: 30_000 });
    const connected = store.waitFor("key", signal); // once it has seen a write, the store's watch connection stands
    await store.get("key", "global", signal);
    await etcdctl(server.port, "put", "/sorna/dispose/key", "1");
    await connected;
    const waiting = assert.rejects(store.waitFor("nodes/manager", signal), { code: "config_store_unavailable" });
    await store.get("key", "global", signal);
    server.freeze();
    try {
      const reading = assert.rejects(store.get("key", "global", signal), { code: "config_store_unavailable" });
      await within(5000, store[Symbol.asyncDispose]());
      await Promise.all([waiting, reading]);
    } finally {
      server.resume();
    }
    await assert.rejects(store.get("key", "global", signal), { code: "config_store_unavailable" });
  },
});

async function eventually<T>(call: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

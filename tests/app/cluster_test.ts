import assert from "node:assert/strict";
import { FakeConfigStore } from "../../adapters/fake/config_store.ts";
import { FakeHostFacts } from "../../adapters/fake/host_facts.ts";
import { ConfigStoreUnavailable, StartFailed } from "../../domain/errors.ts";
import { readCluster, resolveAddresses } from "../../src/app/cluster.ts";
import { never } from "./kernel_request.ts";
import { now } from "./make_agent.ts";

const OPEN = { rpcHost: "", kernelHost: "" };

/** @param values global keys of the shared configuration */
function makeNode(values: Record<string, string> = {}, cloudAddress?: string) {
  const config = new FakeConfigStore();
  for (const [key, value] of Object.entries(values)) config.write("global", key, value);
  const host = new FakeHostFacts();
  host.interfaces = [
    { interface: "lo", address: "127.0.0.1" },
    { interface: "eth0", address: "10.1.2.3" },
    { interface: "eth1", address: "192.168.7.8" },
    { interface: "eth1", address: "fd00::8" },
  ];
  host.names.set(host.hostname, "10.9.9.9");
  return { config, host, cloudAddress };
}

for (
  const [what, values, wishes, cloudAddress, expected] of [
    ["what the configuration says", {}, { rpcHost: "1.1.1.1", kernelHost: "2.2.2.2" }, "3.3.3.3", [
      "1.1.1.1",
      "2.2.2.2",
    ]],
    ["the RPC address for kernels too", {}, { rpcHost: "1.1.1.1", kernelHost: "" }, undefined, ["1.1.1.1", "1.1.1.1"]],
    ["the cloud's address", {}, OPEN, "3.3.3.3", ["3.3.3.3", "3.3.3.3"]],
    ["the host name's address", {}, OPEN, undefined, ["10.9.9.9", "10.9.9.9"]],
    ["the first address in the agent's subnet", { agent: "192.168.0.0/16" }, OPEN, undefined, [
      "192.168.7.8",
      "192.168.7.8",
    ]],
    ["an IPv6 address", { agent: "fd00::/8" }, OPEN, undefined, ["fd00::8", "fd00::8"]],
    ["addresses of two subnets", { agent: "10.0.0.0/8", container: "192.168.0.0/16" }, OPEN, undefined, [
      "10.1.2.3",
      "192.168.7.8",
    ]],
    ["the RPC address outside the container subnet", { container: "172.16.0.0/12" }, OPEN, undefined, [
      "10.9.9.9",
      "10.9.9.9",
    ]],
    ["any address for subnets of everything", { agent: "0.0.0.0/0", container: "0.0.0.0/0" }, OPEN, undefined, [
      "10.9.9.9",
      "10.9.9.9",
    ]],
    ["any address for subnets left blank", { agent: "", container: "" }, OPEN, undefined, ["10.9.9.9", "10.9.9.9"]],
  ] as const
) {
  Deno.test(`[03-6.1] resolveAddresses() takes ${what}`, async () => {
    const subnets = Object.entries(values).map(([name, subnet]) => [`config/network/subnet/${name}`, subnet]);
    const node = makeNode(Object.fromEntries(subnets), cloudAddress);
    const { rpcHost, kernelHost } = await resolveAddresses(node, wishes, never);
    assert.deepEqual([rpcHost, kernelHost], expected);
  });
}

Deno.test("[03-6.1] resolveAddresses() takes loopback if the host name does not resolve", async () => {
  const node = makeNode();
  node.host.names.clear();
  assert.equal((await resolveAddresses(node, OPEN, never)).rpcHost, "127.0.0.1");
});

Deno.test("[03-6.1] resolveAddresses() fails if no address lies in the agent's subnet", async () => {
  const node = makeNode({ "config/network/subnet/agent": "172.16.0.0/12" });
  await assert.rejects(resolveAddresses(node, OPEN, never), StartFailed);
});

Deno.test("[03-2] resolveAddresses() reads subnets of the node before those of all", async () => {
  const node = makeNode({ "config/network/subnet/agent": "10.0.0.0/8" });
  node.config.write("node", "config/network/subnet/agent", "192.168.0.0/16");
  assert.equal((await resolveAddresses(node, OPEN, never)).rpcHost, "192.168.7.8");
});

Deno.test("resolveAddresses() fails for a subnet that is none, and when the store does not answer", async () => {
  const wrong = makeNode({ "config/network/subnet/agent": "10.0.0.0" });
  await assert.rejects(resolveAddresses(wrong, OPEN, never), { code: "start_failed" });
  const out = makeNode();
  out.config.reachable = false;
  await assert.rejects(resolveAddresses(out, OPEN, never), ConfigStoreUnavailable);
});

function makeCluster(values: Record<string, string> = {}): FakeConfigStore {
  return makeNode({ "nodes/manager": "i-manager", ...values }).config;
}

Deno.test("[03-3] readCluster() has defaults for everything", async () => {
  assert.deepEqual(await readCluster(makeCluster(), never), {
    redis: { host: "127.0.0.1", port: 6379, password: undefined },
    folders: { base: "/mnt", prefix: "" },
    eventAddress: undefined,
  });
});

Deno.test("[03-7] readCluster() waits for the manager, however long it takes", async () => {
  const config = makeNode().config;
  const reading = readCluster(config, never);
  config.reachable = false;
  config.reachable = true;
  config.write("global", "nodes/manager", "i-manager");
  assert.equal((await now(reading)).redis.port, 6379);
});

Deno.test("[03-D2] readCluster() takes no other node's word for the manager, and can be interrupted", async () => {
  const config = makeNode().config;
  config.write("node", "nodes/manager", "not me");
  const stop = new AbortController();
  const reading = assert.rejects(readCluster(config, stop.signal), /enough/);
  stop.abort(new Error("enough"));
  await now(reading);
});

Deno.test("[03-3] readCluster() reads folders without the slashes at their ends", async () => {
  const cluster = await readCluster(makeCluster({ "volumes/_mount": "/srv/vf/", "volumes/_fsprefix": "/a/b/" }), never);
  assert.deepEqual(cluster.folders, { base: "/srv/vf", prefix: "a/b" });
});

Deno.test("[02-2] readCluster() reads the manager's event address", async () => {
  const config = makeCluster({ "nodes/manager/event_addr": "10.0.0.1:5002" });
  assert.equal((await readCluster(config, never)).eventAddress, "10.0.0.1:5002");
});

for (
  const [address, host, port] of [
    ["redis.local:6380", "redis.local", 6380],
    ["10.0.0.5:6379", "10.0.0.5", 6379],
    ["[fd00::5]:6379", "fd00::5", 6379],
    ["h:65535", "h", 65535],
  ] as const
) {
  Deno.test(`[03-3] readCluster() understands the Redis address ${address}`, async () => {
    const { redis } = await readCluster(makeCluster({ "config/redis/addr": address }), never);
    assert.deepEqual([redis.host, redis.port], [host, port]);
  });
}

for (
  const address of ["", "redis", "redis:", ":6379", "redis:0", "redis:65536", "redis:x", "[]:1", "a b:1", "redis://h:1"]
) {
  Deno.test(`readCluster() refuses the Redis address ${JSON.stringify(address)}`, async () => {
    await assert.rejects(readCluster(makeCluster({ "config/redis/addr": address }), never), StartFailed);
  });
}

Deno.test("[03-D3] readCluster() ignores other Redis keys and prefix neighbours; an empty password is none", async () => {
  const config = makeCluster({
    "config/redis/addr": "a:1",
    "config/redis/addr/x": "nested",
    "config/redis/password": "",
    "config/redis/db": "3",
    "config/redis2/addr": "b:2",
  });
  assert.deepEqual((await readCluster(config, never)).redis, { host: "a", port: 1, password: undefined });
  config.write("global", "config/redis/password", "secret");
  assert.equal((await readCluster(config, never)).redis.password, "secret");
});

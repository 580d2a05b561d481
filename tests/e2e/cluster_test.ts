/** The agent in a cluster: without etcd for a while (`OUTAGE_S` seconds, more than in the suite if set), and by ZeroMQ. */
import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { SILENT } from "../adapters/docker_engine.ts";
import { isInstalled, TestServer } from "../adapters/servers.ts";
import { AgentProcess, until } from "./agent_process.ts";

const NOTHING = Deno.env.get("TEST_EMPTY_IMAGE");
const OUTAGE_S = Number(Deno.env.get("OUTAGE_S") ?? 10);
const HEARTBEAT_MS = 3_000;
const ready = NOTHING !== undefined && await isInstalled("etcd") && await isInstalled("etcdctl") &&
  await isInstalled("redis-server");
if (NOTHING === undefined) console.log("skipped: outage of etcd: TEST_EMPTY_IMAGE names no image");

Deno.test({
  name: "cluster: with etcd stopped heartbeats go on, and kernels are created and destroyed",
  ignore: !ready,
  fn: async () => {
    await using etcd = await TestServer.etcd();
    await using redis = await TestServer.redis();
    await announceManager(etcd.port, redis.port);
    await using agent = new AgentProcess({ toml: `[etcd]\nnamespace = "e2e"\naddr = "127.0.0.1:${etcd.port}"\n` });
    await agent.start();
    using heartbeats = new HeartbeatCounter(redis.port);
    await heartbeats.subscribed;
    await using client = agent.connect();

    etcd.freeze();
    const before = heartbeats.times.length;
    const kernelId = await client.create(NOTHING ?? "");
    assert.equal(await client.run(kernelId, "6 * 7"), "42");
    await client.calls.destroy(kernelId, "user-requested");
    const wanted = before + Math.floor(OUTAGE_S * 1_000 / HEARTBEAT_MS);
    const limitMs = OUTAGE_S * 1_000 + HEARTBEAT_MS;
    await until(() => heartbeats.times.length >= wanted, limitMs, () => `only ${heartbeats.times.length} heartbeats`);
    etcd.resume();

    assert.ok(heartbeats.longestGapMs() < 2 * HEARTBEAT_MS, `a gap of ${heartbeats.longestGapMs()} ms`);
    assert.equal(await agent.stop("SIGTERM"), 0);
    assert.deepEqual(await agent.leftovers(), []);
  },
});

Deno.test({
  name: '[02 §2] cluster: with transport "both" every event goes to Redis and to the manager\'s event port',
  ignore: !ready,
  fn: async () => {
    await using etcd = await TestServer.etcd();
    await using redis = await TestServer.redis();
    await using sockets = new ZeroMqSockets({ log: SILENT });
    const pushed: string[] = [];
    const pull = sockets.open("pull", { lingerMs: 0 });
    const address = (await pull.bind("tcp://127.0.0.1:0")).slice("tcp://".length);
    pull.onMessage((frames) => pushed.push(frames.slice(0, 2).map((it) => new TextDecoder().decode(it)).join(" ")));
    await announceManager(etcd.port, redis.port, address);
    await using agent = new AgentProcess({
      toml: `[etcd]\nnamespace = "e2e"\naddr = "127.0.0.1:${etcd.port}"\n[event]\ntransport = "both"\n`,
    });
    await agent.start();
    assert.equal(await agent.stop("SIGTERM"), 0);

    const ends = [`instance_started ${agent.id}`, `instance_terminated ${agent.id}`];
    await until(() => ends.every((it) => pushed.includes(it)), 5_000, () => `pushed: ${pushed.join(", ")}`);
    assert.ok(pushed.includes(`instance_heartbeat ${agent.id}`));
    using client = new HeartbeatCounter(redis.port);
    assert.ok(await client.queued() >= 3, "heartbeat, start and end are in the list");
  },
});

/** What the agent waits for at its start. */
async function announceManager(etcdPort: number, redisPort: number, eventAddress?: string): Promise<void> {
  const put = async (key: string, value: string) => {
    const args = ["--endpoints", `127.0.0.1:${etcdPort}`, "put", `/sorna/e2e/${key}`, value];
    const { success } = await new Deno.Command("etcdctl", { args, env: { ETCDCTL_API: "3" } }).output();
    assert.ok(success, `cannot write "${key}" to etcd`);
  };
  await put("config/redis/addr", `127.0.0.1:${redisPort}`);
  if (eventAddress !== undefined) await put("nodes/manager/event_addr", eventAddress);
  await put("nodes/manager", "i-manager");
}

/** Listens as every manager process does. */
class HeartbeatCounter implements Disposable {
  readonly times: number[] = [];
  readonly subscribed: Promise<unknown>;
  readonly #redis: Redis;

  constructor(port: number) {
    this.#redis = new Redis({ port, db: 4, protocol: 2 });
    this.#redis.on("error", () => {}); // the server may end first
    this.#redis.on("messageBuffer", (_channel: Buffer, message: Buffer) => {
      if (message.includes("instance_heartbeat")) this.times.push(performance.now());
    });
    this.subscribed = this.#redis.subscribe("events.pubsub");
  }

  /** Events that no manager has fetched. */
  async queued(): Promise<number> {
    const redis = this.#redis.duplicate();
    redis.on("error", () => {});
    try {
      return await redis.llen("events.prodcons");
    } finally {
      redis.disconnect();
    }
  }

  longestGapMs(): number {
    return Math.max(0, ...this.times.slice(1).map((at, i) => at - (this.times[i] ?? at)));
  }

  [Symbol.dispose](): void {
    this.#redis.disconnect();
  }
}

import assert from "node:assert/strict";
import type { Buffer } from "node:buffer";
import { decode } from "@msgpack/msgpack";
import { Redis } from "ioredis";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { RedisEventSink, type RedisEventSinkOptions } from "../../adapters/redis/event_sink.ts";
import { RedisStatistics } from "../../adapters/redis/statistics_store.ts";
import { parseAgentId, parseKernelId } from "../../domain/ids.ts";
import type { AgentEvent } from "../../domain/kernel/events.ts";
import { registerContract, within } from "../contract/contract_case.ts";
import {
  EVENT_SINK_CASES,
  eventSinkContract,
  type EventSinkHarness,
  heartbeatOf,
  labelOf,
} from "../contract/event_sink.ts";
import { STATISTICS_CASES, type StatisticsHarness, statisticsStoreContract } from "../contract/statistics_store.ts";
import { isInstalled, TestServer } from "./servers.ts";

const ignore = !await isInstalled("redis-server");
const signal = new AbortController().signal;
const agentId = parseAgentId("i-worker1");
const kernelId = parseKernelId("d5cf3a27-c8f4-4e2d-a2a4-41f0b6c1e2d3");
const started: AgentEvent = { kind: "kernel_started", kernelId };

let shared: TestServer;
Deno.test.beforeAll(async () => {
  if (!ignore) shared = await TestServer.redis();
});
Deno.test.afterAll(async () => {
  if (!ignore) await shared[Symbol.asyncDispose]();
});

interface Envelope {
  readonly event_name: string;
  readonly agent_id: string;
  readonly args: readonly unknown[];
}

/** A manager's view of the server; connects for each look, so that it holds nothing through an outage. */
async function look<T>(port: number, db: number, body: (redis: Redis) => Promise<T>, password?: string): Promise<T> {
  const redis = new Redis({ host: "127.0.0.1", port, db, ...(password === undefined ? {} : { password }) });
  try {
    return await body(redis);
  } finally {
    const ended = new Promise((resolve) => redis.once("end", resolve));
    redis.disconnect();
    await ended;
  }
}

function decodeEnvelope(payload: Buffer): Envelope {
  return decode(payload) as Envelope; // the codec under test wrote it
}

async function queued(port: number): Promise<Envelope[]> {
  const entries = await look(port, 4, (redis) => redis.lrangeBuffer("events.prodcons", 0, -1));
  return entries.map(decodeEnvelope);
}

/** An outage that ends once, when it is disposed of the first time. */
function outage(end: () => void | Promise<void>): AsyncDisposable {
  let over: Promise<void> | undefined;
  return { [Symbol.asyncDispose]: () => over ??= Promise.resolve(end()) };
}

type Lose = (server: TestServer) => Promise<AsyncDisposable>;
// deno-lint-ignore require-await
const freeze: Lose = async (server) => {
  server.freeze();
  return outage(() => server.resume());
};
const kill: Lose = async (server) => {
  await server.kill();
  return outage(() => server.start());
};

function openSink(port: number, options: Partial<RedisEventSinkOptions> = {}): RedisEventSink {
  return new RedisEventSink({
    server: { host: "127.0.0.1", port },
    agentId,
    log: new MemoryLog(),
    publishDeadlineMs: 1000,
    heartbeatDeadlineMs: 1000,
    ...options,
  });
}

function makeSinkHarness(server: TestServer, lose: Lose): EventSinkHarness {
  const sink = openSink(server.port);
  return {
    sink,
    async taken() {
      const events = (await queued(server.port)).filter(({ event_name }) => event_name !== "instance_heartbeat");
      return events.map(({ event_name, args }) => labelOf(event_name, args));
    },
    async newestHeartbeat() {
      const newest = (await queued(server.port)).findLast(({ event_name }) => event_name === "instance_heartbeat");
      return (newest?.args[0] as { version?: string } | undefined)?.version; // decoded above
    },
    outage: () => lose(server),
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}

function makeStatisticsHarness(server: TestServer, lose: Lose): StatisticsHarness {
  const server0 = { host: "127.0.0.1", port: server.port };
  const store = new RedisStatistics({ server: server0, agentId, log: new MemoryLog(), deadlineMs: 1000 });
  const read = async (key: string) => {
    const value = await look(server.port, 0, (redis) => redis.getBuffer(key));
    return value === null ? undefined : decode(value);
  };
  return {
    store,
    node: () => read(agentId),
    kernel: (id) => read(id),
    nodeLifetimeMs: async () => Math.max(0, await look(server.port, 0, (redis) => redis.pttl(agentId))),
    outage: () => lose(server),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/** On the server that all tests use, emptied. */
function onShared<H>(make: (server: TestServer, lose: Lose) => H): () => Promise<H> {
  return async () => {
    await look(shared.port, 0, (redis) => redis.flushall());
    return make(shared, freeze);
  };
}

/** On a server of its own, because a test may only end the processes that it started. */
function onOwn<H extends AsyncDisposable>(make: (server: TestServer, lose: Lose) => H): () => Promise<H> {
  return async () => {
    const own = await TestServer.redis();
    const harness = make(own, kill);
    return {
      ...harness,
      async [Symbol.asyncDispose]() {
        await harness[Symbol.asyncDispose]();
        await own[Symbol.asyncDispose]();
      },
    };
  };
}

eventSinkContract("RedisEventSink", onShared(makeSinkHarness), { ignore });
const sinkOutages = EVENT_SINK_CASES.filter((one) => one.outage);
registerContract(sinkOutages, "RedisEventSink, Redis killed", onOwn(makeSinkHarness), { ignore });
statisticsStoreContract("RedisStatistics", onShared(makeStatisticsHarness), { ignore });
const statisticsOutages = STATISTICS_CASES.filter((one) => one.outage);
registerContract(statisticsOutages, "RedisStatistics, Redis killed", onOwn(makeStatisticsHarness), { ignore });

function redisTest(name: string, fn: (port: number) => Promise<void>): void {
  const run = async () => {
    await look(shared.port, 0, (redis) => redis.flushall());
    await fn(shared.port);
  };
  Deno.test({ name, ignore, fn: run });
}

redisTest("[02 §1] publish() puts the same bytes in the queue and on the channel", async (port) => {
  await using sink = openSink(port);
  await look(port, 4, async (subscriber) => {
    const heard = new Promise<Buffer>((resolve) => {
      subscriber.on("messageBuffer", (_channel: Buffer, message: Buffer) => resolve(message));
    });
    await subscriber.subscribe("events.pubsub");
    await sink.publish(started, signal);
    const [inQueue] = await look(port, 4, (redis) => redis.lrangeBuffer("events.prodcons", 0, -1));
    assert.deepEqual(await within(5000, heard), inQueue);
    assert.deepEqual(await queued(port), [{ event_name: "kernel_started", agent_id: agentId, args: [kernelId] }]);
  });
});

redisTest(
  "[02-D1] publish() is one transaction: a queue that refuses leaves the caller with a failure",
  async (port) => {
    await using sink = openSink(port);
    await look(port, 4, (redis) => redis.set("events.prodcons", "not a list"));
    await assert.rejects(sink.publish(started, signal), { code: "event_sink_unavailable" });
  },
);

redisTest("[02-D9] heartbeat() leaves a crowded queue alone, publish() does not", async (port) => {
  await using sink = openSink(port);
  const crowd = Array.from({ length: 4001 }, () => "x");
  await look(port, 4, (redis) => redis.rpush("events.prodcons", ...crowd));
  const length = () => look(port, 4, (redis) => redis.llen("events.prodcons"));
  await sink.heartbeat(heartbeatOf("1"), signal);
  assert.equal(await length(), 4001);
  await sink.publish(started, signal);
  assert.equal(await length(), 4002);
});

redisTest("[02-D13] heartbeat() leaves out a tag that the manager cannot read, and logs it once", async (port) => {
  const log = new MemoryLog();
  await using sink = openSink(port, { log });
  const info = heartbeatOf("1");
  const [image] = info.images;
  assert.ok(image);
  const unreadable = { ...image, tag: "local/thing:my_tag-1" };
  for (let i = 0; i < 3; i++) await sink.heartbeat({ ...info, images: [image, unreadable] }, signal);
  const warnings = log.entries.filter(({ message }) => message.startsWith("image not announced"));
  assert.deepEqual(warnings.map(({ fields }) => fields), [{ tag: "local/thing:my_tag-1" }]);
});

redisTest("[02-D8] heartbeat() drops what is unsent when a newer one comes", async (port) => {
  await using sink = openSink(port, { heartbeatDeadlineMs: 60_000 });
  await sink.heartbeat(heartbeatOf("0"), signal);
  shared.freeze();
  const calls = ["1", "2", "3"].map((version) => sink.heartbeat(heartbeatOf(version), signal));
  await assert.rejects(within(5000, calls[1] ?? Promise.resolve()), { code: "event_sink_unavailable" });
  shared.resume();
  await within(5000, Promise.all([calls[0], calls[2]]));
  const versions = (await queued(port)).map(({ args }) => (args[0] as { version: string }).version); // decoded above
  assert.deepEqual(versions, ["0", "1", "3"]);
});

redisTest("publish() is owed at most one exchange by a server that does not answer", async (port) => {
  await using sink = openSink(port, { publishDeadlineMs: 300 });
  await sink.publish({ kind: "instance_started", reason: "first" }, signal);
  shared.freeze();
  for (let i = 0; i < 5; i++) {
    await assert.rejects(sink.publish(started, signal), { code: "event_sink_unavailable" });
  }
  shared.resume();
  const last: AgentEvent = { kind: "instance_terminated", reason: "last" };
  for (const deadline = Date.now() + 10_000;;) {
    if (await sink.publish(last, signal).then(() => true, () => Date.now() > deadline)) break;
  }
  const names = (await queued(port)).map(({ event_name }) => event_name);
  assert.deepEqual(names, ["instance_started", "kernel_started", "instance_terminated"]);
});

Deno.test({
  name: "[03 §8] RedisEventSink sends the password; a wrong one is a failure that says why",
  ignore,
  async fn() {
    await using guarded = await TestServer.redis("--requirepass", "secret word");
    const { port } = guarded;
    await using sink = openSink(port, { server: { host: "127.0.0.1", port, password: "secret word" } });
    await sink.publish(started, signal);
    const length = () => look(port, 4, (redis) => redis.llen("events.prodcons"), "secret word");
    assert.equal(await length(), 1);
    await using wrong = openSink(port, { server: { host: "127.0.0.1", port, password: "wrong" } });
    await assert.rejects(wrong.publish(started, signal), (error: Error) => /WRONGPASS/.test(String(error.cause)));
    assert.equal(await length(), 1);
  },
});

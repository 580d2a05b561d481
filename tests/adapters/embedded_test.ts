import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { EmbeddedConfigStore } from "../../adapters/embedded/config_store.ts";
import { EmbeddedStore } from "../../adapters/embedded/embedded_store.ts";
import { EmbeddedEventSink } from "../../adapters/embedded/event_sink.ts";
import { EmbeddedStatistics } from "../../adapters/embedded/statistics_store.ts";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { encodeEvent } from "../../adapters/redis/event_codec.ts";
import { parseKernelId } from "../../domain/ids.ts";
import type { AgentEvent } from "../../domain/kernel/events.ts";
import { configStoreContract, type ConfigStoreHarness } from "../contract/config_store.ts";
import { eventSinkContract, type EventSinkHarness, heartbeatOf, labelOf } from "../contract/event_sink.ts";
import { type StatisticsHarness, statisticsStoreContract } from "../contract/statistics_store.ts";

const signal = new AbortController().signal;
const kernelId = parseKernelId("d5cf3a27-c8f4-4e2d-a2a4-41f0b6c1e2d3");
const started: AgentEvent = { kind: "kernel_started", kernelId };

/** A store in this process is never out; what a locked file does is a test of its own below. */
function noOutage(): Promise<AsyncDisposable> {
  throw new Error("an embedded store has no outages");
}

const PLACES: Record<string, () => Promise<{ store: EmbeddedStore; [Symbol.asyncDispose](): Promise<void> }>> = {
  // deno-lint-ignore require-await
  "in memory": async () => {
    const store = new EmbeddedStore(":memory:");
    // deno-lint-ignore require-await
    return { store, [Symbol.asyncDispose]: async () => store[Symbol.dispose]() };
  },
  "in a file": async () => {
    const folder = await Deno.makeTempDir({ prefix: "agent-test-embedded-" });
    const store = new EmbeddedStore(`${folder}/agent.db`);
    return {
      store,
      async [Symbol.asyncDispose]() {
        store[Symbol.dispose]();
        await Deno.remove(folder, { recursive: true });
      },
    };
  },
};

for (const [place, open] of Object.entries(PLACES)) {
  configStoreContract(`EmbeddedConfigStore ${place}`, async (): Promise<ConfigStoreHarness> => {
    const opened = await open();
    const store = new EmbeddedConfigStore(opened.store);
    return {
      store,
      // deno-lint-ignore require-await
      write: async (scope, key, value) => store.write(scope, key, value),
      outage: noOutage,
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  }, { outages: false });

  eventSinkContract(`EmbeddedEventSink ${place}`, async (): Promise<EventSinkHarness> => {
    const opened = await open();
    const sink = new EmbeddedEventSink(opened.store, { clock: new FakeClock() });
    return {
      sink,
      // deno-lint-ignore require-await
      taken: async () =>
        sink.events(0).map(({ event }) => encodeEvent(event)).map(({ name, args }) => labelOf(name, args)),
      // deno-lint-ignore require-await
      newestHeartbeat: async () => sink.lastHeartbeat()?.info.version as string | undefined, // written by this test
      outage: noOutage,
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  }, { outages: false });

  statisticsStoreContract(`EmbeddedStatistics ${place}`, async (): Promise<StatisticsHarness> => {
    const opened = await open();
    const clock = new FakeClock();
    const store = new EmbeddedStatistics(opened.store, { clock });
    return {
      store,
      // deno-lint-ignore require-await
      node: async () => store.node(),
      // deno-lint-ignore require-await
      kernel: async (id) => store.kernel(id),
      async nodeLifetimeMs() {
        let lifetimeMs = 0;
        while (store.node() !== undefined && lifetimeMs < 100_000) {
          await clock.advance(1000);
          lifetimeMs += 1000;
        }
        return lifetimeMs;
      },
      outage: noOutage,
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  }, { outages: false });
}

Deno.test("EmbeddedEventSink keeps the newest events, under ids that only grow", async () => {
  using store = new EmbeddedStore(":memory:");
  const sink = new EmbeddedEventSink(store, { clock: new FakeClock(1000), maxEvents: 3 });
  for (let i = 0; i < 5; i++) await sink.publish(started, signal);
  assert.deepEqual(sink.events(0), [3, 4, 5].map((id) => ({ id, atMs: 1000, event: started })));
  assert.deepEqual(sink.events(4).map(({ id }) => id), [5]);
  assert.deepEqual(sink.events(0, 1).map(({ id }) => id), [3]);
});

Deno.test("EmbeddedEventSink keeps one heartbeat, its amounts as text", async () => {
  using store = new EmbeddedStore(":memory:");
  const sink = new EmbeddedEventSink(store, { clock: new FakeClock(1000) });
  assert.equal(sink.lastHeartbeat(), undefined);
  for (const version of ["1", "2"]) await sink.heartbeat(heartbeatOf(version), signal);
  const { info, atMs } = sink.lastHeartbeat() ?? assert.fail();
  assert.deepEqual([atMs, info.version, info.slots], [1000, "2", {
    cpu: { unit: "count", amount: "7000000" },
    mem: { unit: "bytes", amount: "17179869184" },
  }]);
});

Deno.test("EmbeddedStore keeps everything when it is opened again", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const clock = new FakeClock();
  {
    using store = new EmbeddedStore(path);
    await new EmbeddedConfigStore(store).put("volumes/_mount", "/mnt", signal);
    await new EmbeddedEventSink(store, { clock }).publish(started, signal);
  }
  using again = new EmbeddedStore(path);
  assert.equal(await new EmbeddedConfigStore(again).get("volumes/_mount", "merged", signal), "/mnt");
  const sink = new EmbeddedEventSink(again, { clock });
  await sink.publish(started, signal);
  assert.deepEqual(sink.events(0).map(({ id }) => id), [1, 2]);
});

Deno.test("EmbeddedStore: what another process locks fails, and works again after", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  using store = new EmbeddedStore(path);
  const config = new EmbeddedConfigStore(store);
  const clock = new FakeClock();
  const [sink, statistics] = [new EmbeddedEventSink(store, { clock }), new EmbeddedStatistics(store, { clock })];
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  await assert.rejects(config.put("key", "1", signal), { code: "config_store_unavailable" });
  await assert.rejects(sink.publish(started, signal), { code: "event_sink_unavailable" });
  await assert.rejects(sink.heartbeat(heartbeatOf("1"), signal), { code: "event_sink_unavailable" });
  await assert.rejects(statistics.put(undefined, new Map(), signal), { code: "event_sink_unavailable" });
  other.exec("ROLLBACK");
  other.close();
  await config.put("key", "1", signal);
  await sink.publish(started, signal);
});

Deno.test("EmbeddedStore: every call fails after it is closed", async () => {
  const store = new EmbeddedStore(":memory:");
  const config = new EmbeddedConfigStore(store);
  store[Symbol.dispose]();
  store[Symbol.dispose]();
  await assert.rejects(config.get("key", "merged", signal), { code: "config_store_unavailable" });
});

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "agent-test-embedded-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

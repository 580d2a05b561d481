import assert from "node:assert/strict";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { FakeEventSink } from "../../adapters/fake/event_sink.ts";
import { FaultPlan } from "../../adapters/fake/fault_plan.ts";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { DeadlineExceeded, EventSinkUnavailable } from "../../domain/errors.ts";
import type { AgentEvent } from "../../domain/kernel/events.ts";
import { EventPublisher } from "../../src/app/event_publisher.ts";
import { FanOutEventSink } from "../../src/app/fan_out_event_sink.ts";
import { kernelId, never } from "./kernel_request.ts";
import { now, settle } from "./make_agent.ts";

const boom = new EventSinkUnavailable("publish");

function makePublisher(faults: readonly (Error | undefined)[] = []) {
  const clock = new FakeClock();
  const log = new MemoryLog();
  const sink = new FakeEventSink(new FaultPlan({ publish: faults }));
  return { clock, log, sink, publisher: new EventPublisher({ sink, clock, log }) };
}

function event(n: number): AgentEvent {
  return { kind: "kernel_terminated", kernelId: kernelId(n), reason: "self-terminated", exitCode: n };
}

/** The numbers of the events that were handed over. */
function numbers(sink: FakeEventSink): (number | null)[] {
  return sink.events.map((it) => it.kind === "kernel_terminated" ? it.exitCode : null);
}

Deno.test("EventPublisher.publish() tries once and gives the failure to its caller", async () => {
  const { sink, publisher } = makePublisher([boom]);
  await assert.rejects(publisher.publish(event(1), never), boom);
  await publisher.publish(event(2), never);
  assert.deepEqual(numbers(sink), [2]);
});

Deno.test("EventPublisher.publish() gives up a store that does not answer after 10 s", async () => {
  const { clock, sink, publisher } = makePublisher();
  sink.publish = () => new Promise(() => {});
  const failed = assert.rejects(publisher.publish(event(1), never), DeadlineExceeded);
  await clock.advance(10_000);
  await now(failed);
});

Deno.test("EventPublisher.announce() hands over what happened during an outage, in order, when it is over", async () => {
  const { clock, sink, publisher } = makePublisher();
  sink.reachable = false;
  for (const n of [1, 2, 3]) publisher.announce(event(n));
  await clock.advance(60_000);
  publisher.announce(event(4));
  assert.deepEqual(numbers(sink), []);
  sink.reachable = true;
  await clock.advance(5_000);
  assert.deepEqual(numbers(sink), [1, 2, 3, 4]);
});

Deno.test("EventPublisher.announce() keeps the order when one of several events fails", async () => {
  const { clock, sink, publisher } = makePublisher([undefined, boom, boom]);
  for (const n of [1, 2, 3]) publisher.announce(event(n));
  await settle();
  assert.deepEqual(numbers(sink), [1]);
  await clock.advance(2_000);
  assert.deepEqual(numbers(sink), [1, 2, 3]);
});

Deno.test("EventPublisher.announce() forgets no event, at whatever moment of another's delivery it comes", async () => {
  for (let moment = 0; moment < 40; moment++) {
    const { sink, publisher } = makePublisher();
    publisher.announce(event(1));
    for (let i = 0; i < moment; i++) await Promise.resolve();
    publisher.announce(event(2));
    await settle();
    assert.deepEqual(numbers(sink), [1, 2], `after ${moment} microtasks`);
  }
});

Deno.test("EventPublisher.flush() waits until everything has been handed over", async () => {
  const { clock, log, sink, publisher } = makePublisher([boom]);
  publisher.announce(event(1));
  let flushed = false;
  const flush = publisher.flush(never).then(() => flushed = true);
  publisher.announce(event(2));
  await settle();
  assert.equal(flushed, false);
  await clock.advance(500);
  await now(flush);
  assert.deepEqual([numbers(sink), log.messages("error")], [[1, 2], []]);
});

Deno.test("EventPublisher.flush() gives up with its signal, and logs every event that is lost", async () => {
  for (const early of [true, false]) {
    const { log, sink, publisher } = makePublisher();
    sink.reachable = false;
    publisher.announce(event(1));
    publisher.announce(event(2));
    const limit = new AbortController();
    if (early) limit.abort();
    const flush = publisher.flush(limit.signal);
    await settle();
    limit.abort();
    await now(flush);
    const lost = log.entries.filter(({ level }) => level === "error").map(({ fields }) => fields["event"]);
    assert.deepEqual(lost, [event(1), event(2)]);
  }
});

Deno.test("EventPublisher.flush() has nothing to wait for when nothing was announced", async () => {
  const { publisher } = makePublisher();
  await now(publisher.flush(never));
});

Deno.test("[02-2] FanOutEventSink takes what the reliable sink takes, whatever the copy does", async () => {
  const reliable = new FakeEventSink();
  const copy = new FakeEventSink();
  const sink = new FanOutEventSink(reliable, copy);
  await sink.publish(event(1), never);
  copy.reachable = false;
  await sink.publish(event(2), never);
  copy.reachable = true;
  reliable.reachable = false;
  await assert.rejects(sink.publish(event(3), never), EventSinkUnavailable);
  assert.deepEqual([numbers(reliable), numbers(copy)], [[1, 2], [1, 3]]);
});

Deno.test("[02-2] FanOutEventSink gives heartbeats to both", async () => {
  const sinks = [new FakeEventSink(), new FakeEventSink(new FaultPlan({ heartbeat: [boom] }))] as const;
  const sink = new FanOutEventSink(...sinks);
  const info = {
    host: "h",
    port: 1,
    region: "r",
    scalingGroup: "g",
    slots: new Map(),
    version: "v",
    computePlugins: {},
    images: [],
  };
  await sink.heartbeat(info, never);
  await sink.heartbeat(info, never);
  assert.deepEqual(sinks.map(({ heartbeats }) => heartbeats.length), [2, 1]);
});

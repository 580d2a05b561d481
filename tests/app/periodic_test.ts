import assert from "node:assert/strict";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { periodically } from "../../src/app/periodic.ts";
import { TaskGroup } from "../../src/app/task_group.ts";
import { now } from "./make_agent.ts";

/** Rounds that last as long as `lasts` says, and when they began. */
function makeRounds(lasts: (round: number) => number | Error = () => 0) {
  const clock = new FakeClock();
  const log = new MemoryLog();
  const stop = new AbortController();
  const begun: number[] = [];
  let under = 0;
  const options = { name: "tick", intervalMs: 100, signal: stop.signal };
  const loop = periodically({ clock, log }, options, async (signal) => {
    assert.equal(under++, 0, "two at once");
    begun.push(clock.monotonic());
    const lasting = lasts(begun.length);
    if (lasting instanceof Error) {
      under--;
      throw lasting;
    }
    await clock.sleep(lasting, signal).finally(() => under--);
  });
  return { clock, log, begun, end: () => now(Promise.resolve(stop.abort()).then(() => loop)) };
}

Deno.test("periodically() begins at once, then every interval from start to start", async () => {
  const { clock, begun, end } = makeRounds(() => 30);
  await clock.advance(350);
  await end();
  assert.deepEqual(begun, [0, 100, 200, 300]);
});

Deno.test("periodically() goes on after a round that failed", async () => {
  const { clock, log, begun, end } = makeRounds((round) => round === 2 ? new Error("boom") : 0);
  await clock.advance(250);
  await end();
  assert.deepEqual(begun, [0, 100, 200]);
  assert.deepEqual(log.messages("warn"), ["periodic task failed, trying again"]);
});

Deno.test("periodically() swallows the rounds that a slow one missed", async () => {
  const { clock, begun, end } = makeRounds((round) => round === 1 ? 350 : 0);
  await clock.advance(600);
  await end();
  assert.deepEqual(begun, [0, 350, 450, 550]);
});

Deno.test("periodically() ends in the middle of a round or of a pause, and takes neither for a failure", async () => {
  for (const lasting of [0, 50]) {
    const { clock, log, end } = makeRounds(() => lasting);
    await clock.advance(10);
    await end();
    assert.deepEqual([log.entries.length, clock.sleepers], [0, 0]);
  }
});

Deno.test("TaskGroup's disposal aborts its tasks and waits until they have stopped", async () => {
  const log = new MemoryLog();
  const group = new TaskGroup(log);
  const cleaned = Promise.withResolvers<void>();
  let over = false;
  const task = group.spawn("task", (signal) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => cleaned.promise.then(resolve), { once: true });
    }));
  const disposed = group[Symbol.asyncDispose]().then(() => over = true);
  await Promise.resolve();
  assert.equal(over, false);
  cleaned.resolve();
  await now(disposed);
  await task;
  assert.deepEqual(log.entries, []);
});

Deno.test("TaskGroup logs a failure once, and an abort never", async () => {
  const log = new MemoryLog();
  const group = new TaskGroup(log);
  await group.spawn("bad", () => Promise.reject(new Error("boom")));
  await group.spawn("worse", () => {
    throw new Error("boom");
  });
  const waiting = group.spawn("waiting", (signal) => new FakeClock().sleep(1, signal));
  await group[Symbol.asyncDispose]();
  await waiting;
  assert.deepEqual(log.entries.map(({ fields }) => fields["task"]), ["bad", "worse"]);
});

Deno.test("TaskGroup.idle() waits for tasks that were started meanwhile too", async () => {
  const clock = new FakeClock();
  const group = new TaskGroup(new MemoryLog());
  let later = false;
  void group.spawn("first", async (signal) => {
    await clock.sleep(1, signal);
    void group.spawn("second", (inner) => clock.sleep(1, inner).then(() => void (later = true)));
  });
  const idle = group.idle().then(() => assert.equal(later, true));
  await clock.advance(2);
  await now(idle);
});

Deno.test("TaskGroup aborts at once what is started after its disposal", async () => {
  const group = new TaskGroup(new MemoryLog());
  await group[Symbol.asyncDispose]();
  await now(group.spawn("late", (signal) => new FakeClock().sleep(1_000, signal)));
});

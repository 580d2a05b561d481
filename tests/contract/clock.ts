import assert from "node:assert/strict";
import type { Clock } from "../../src/ports/clock.ts";
import { type ContractCase, registerContract, within } from "./contract_case.ts";

export interface ClockHarness extends AsyncDisposable {
  readonly clock: Clock;
  /** Lets at least `ms` milliseconds of the clock's time go by. */
  pass(ms: number): Promise<void>;
  /** What the wall clock should show, roughly. */
  wallMs(): number;
  /** Timers that are set; undefined where the test runner counts them itself. */
  timers(): number | undefined;
}

export function clockContract(name: string, make: () => Promise<ClockHarness>): void {
  registerContract(CLOCK_CASES, name, make);
}

const LIMIT_MS = 3_000;
const never = new AbortController().signal;
const reason = new Error("no longer wanted");

/** The monotonic time at which a sleep was over; undefined until then. */
function endOf(clock: Clock, ms: number): { atMs: number | undefined; readonly done: Promise<void> } {
  const end: { atMs: number | undefined; done: Promise<void> } = { atMs: undefined, done: Promise.resolve() };
  end.done = clock.sleep(ms, never).then(() => void (end.atMs = clock.monotonic()));
  return end;
}

export const CLOCK_CASES: readonly ContractCase<ClockHarness>[] = [
  {
    name: "now() is the wall-clock time in ms since the epoch",
    async run(make) {
      await using harness = await make();
      assert.ok(Math.abs(harness.clock.now() - harness.wallMs()) < 5_000);
      const before = harness.clock.now();
      await harness.pass(20);
      assert.ok(harness.clock.now() > before);
    },
  },
  {
    name: "monotonic() goes on with time and never goes back",
    async run(make) {
      await using harness = await make();
      const first = harness.clock.monotonic();
      let last = first;
      for (let i = 0; i < 20; i++) {
        await harness.pass(1);
        assert.ok(harness.clock.monotonic() >= last);
        last = harness.clock.monotonic();
      }
      assert.ok(last - first >= 20);
    },
  },
  {
    name: "sleep() resolves ms milliseconds later, not before",
    async run(make) {
      await using harness = await make();
      const startMs = harness.clock.monotonic();
      const end = endOf(harness.clock, 30);
      await harness.pass(5);
      await harness.pass(30);
      await within(LIMIT_MS, end.done);
      assert.ok((end.atMs ?? 0) - startMs >= 30, `${(end.atMs ?? 0) - startMs} ms`);
    },
  },
  {
    name: "sleep() of nothing resolves",
    async run(make) {
      await using harness = await make();
      await within(LIMIT_MS, harness.clock.sleep(0, never));
    },
  },
  {
    name: "sleep() resolves in the order of time, whatever the order of the calls",
    async run(make) {
      await using harness = await make();
      const order: number[] = [];
      const sleeps = [60, 5, 30].map((ms) => harness.clock.sleep(ms, never).then(() => void order.push(ms)));
      await harness.pass(70);
      await within(LIMIT_MS, Promise.all(sleeps));
      assert.deepEqual(order, [5, 30, 60]);
    },
  },
  {
    name: "sleep() rejects with the reason as soon as the signal is aborted",
    async run(make) {
      await using harness = await make();
      const controller = new AbortController();
      const sleep = harness.clock.sleep(3_600_000, controller.signal);
      controller.abort(reason);
      await assert.rejects(within(LIMIT_MS, sleep), reason);
    },
  },
  {
    name: "sleep() rejects at once if the signal is aborted already",
    async run(make) {
      await using harness = await make();
      await assert.rejects(within(LIMIT_MS, harness.clock.sleep(3_600_000, AbortSignal.abort(reason))), reason);
      await assert.rejects(within(LIMIT_MS, harness.clock.sleep(0, AbortSignal.abort(reason))), reason);
    },
  },
  {
    name: "sleep() leaves no timer behind",
    async run(make) {
      await using harness = await make();
      const controller = new AbortController();
      const sleep = harness.clock.sleep(3_600_000, controller.signal);
      const short = harness.clock.sleep(5, controller.signal);
      await harness.pass(10);
      await within(LIMIT_MS, short);
      controller.abort(reason);
      await assert.rejects(within(LIMIT_MS, sleep), reason);
      assert.equal(harness.timers() ?? 0, 0);
    },
  },
];

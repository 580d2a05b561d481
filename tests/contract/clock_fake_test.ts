import assert from "node:assert/strict";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { CLOCK_CASES, clockContract, type ClockHarness } from "./clock.ts";
import { failingCases } from "./contract_case.ts";

// deno-lint-ignore require-await
async function harnessOf(clock: FakeClock): Promise<ClockHarness> {
  const startMs = clock.now();
  return {
    clock,
    pass: (ms) => clock.advance(ms),
    wallMs: () => startMs,
    timers: () => clock.sleepers,
    async [Symbol.asyncDispose]() {},
  };
}

clockContract("FakeClock", () => harnessOf(new FakeClock()));

class WakesEarly extends FakeClock {
  override sleep(ms: number, signal: AbortSignal): Promise<void> {
    return super.sleep(ms / 2, signal);
  }
}

class IgnoresAnAbortedSignal extends FakeClock {
  override sleep(ms: number, signal: AbortSignal): Promise<void> {
    return super.sleep(ms, signal.aborted ? new AbortController().signal : signal);
  }
}

class LeavesItsTimer extends FakeClock {
  override sleep(ms: number, signal: AbortSignal): Promise<void> {
    void super.sleep(ms, new AbortController().signal);
    return super.sleep(ms, signal);
  }
}

for (const Mutation of [WakesEarly, IgnoresAnAbortedSignal, LeavesItsTimer]) {
  Deno.test(`clockContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(CLOCK_CASES, () => harnessOf(new Mutation())), []);
  });
}

Deno.test("FakeClock.advance() wakes a loop once for every period", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const beats: number[] = [];
  const loop = (async () => {
    while (!controller.signal.aborted) {
      await clock.sleep(3_000, controller.signal);
      await Promise.resolve();
      beats.push(clock.monotonic());
    }
  })();
  await clock.advance(10_000);
  assert.deepEqual(beats, [3_000, 6_000, 9_000]);
  controller.abort(new Error("enough"));
  await assert.rejects(loop, /enough/);
});

import assert from "node:assert/strict";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { DeadlineExceeded } from "../../domain/errors.ts";
import { Backoff, withDeadline } from "../../src/app/deadline.ts";
import { never } from "./kernel_request.ts";
import { now } from "./make_agent.ts";

const boom = new Error("boom");
const options = (signal = never) => ({ attempt: "wait", limitMs: 1_000, signal });
const endless = () => new Promise<never>(() => {});

Deno.test("withDeadline() gives what the work gives, and leaves no timer behind", async () => {
  const clock = new FakeClock();
  assert.equal(await withDeadline(clock, options(), () => Promise.resolve(7)), 7);
  await assert.rejects(withDeadline(clock, options(), () => Promise.reject(boom)), boom);
  assert.equal(clock.sleepers, 0);
});

Deno.test("withDeadline() gives up work that does not react, and tells it so", async () => {
  const clock = new FakeClock();
  let limited: AbortSignal | undefined;
  const waiting = withDeadline(clock, options(), (signal) => {
    limited = signal;
    return endless();
  });
  const failed = assert.rejects(waiting, { code: "deadline_exceeded", attempt: "wait", limitMs: 1_000 });
  await clock.advance(999);
  assert.equal(limited?.aborted, false);
  await clock.advance(1);
  await now(failed);
  assert.ok(limited.reason instanceof DeadlineExceeded);
});

Deno.test("withDeadline() ends with the reason of the caller's abort", async () => {
  const clock = new FakeClock();
  const caller = new AbortController();
  let limited: AbortSignal | undefined;
  const waiting = withDeadline(clock, options(caller.signal), (signal) => {
    limited = signal;
    return endless();
  });
  caller.abort(boom);
  await assert.rejects(waiting, boom);
  assert.equal(limited?.reason, boom);
  assert.equal(clock.sleepers, 0);
});

Deno.test("withDeadline() does not begin once the caller has aborted", async () => {
  const begin = () => assert.fail("begun");
  await assert.rejects(withDeadline(new FakeClock(), options(AbortSignal.abort(boom)), begin), boom);
});

Deno.test("withDeadline() takes no notice of work that fails after its deadline", async () => {
  const clock = new FakeClock();
  const work = Promise.withResolvers<void>();
  const failed = assert.rejects(withDeadline(clock, options(), () => work.promise), DeadlineExceeded);
  await clock.advance(1_000);
  await failed;
  work.reject(boom); // an unhandled rejection would fail this test
});

Deno.test("Backoff doubles up to its maximum, and begins anew on health", () => {
  const backoff = new Backoff(200, 1_000);
  assert.deepEqual([1, 2, 3, 4, 5].map(() => backoff.next()), [200, 400, 800, 1_000, 1_000]);
  backoff.reset();
  assert.equal(backoff.next(), 200);
});

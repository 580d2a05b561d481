import assert from "node:assert/strict";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { FaultPlan } from "../../adapters/fake/fault_plan.ts";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { FakeRunnerChannels } from "../../adapters/fake/runner_channels.ts";
import { InvalidField, KernelEnded, RunnerUnavailable, TooManyRuns, UnknownRun } from "../../domain/errors.ts";
import { parseRunId, type RunId } from "../../domain/ids.ts";
import type { RunReport } from "../../domain/kernel/run_queue.ts";
import type { OutputRecord } from "../../domain/kernel/runner_message.ts";
import type { ExecuteRequest } from "../../src/app/agent_service.ts";
import { RunSession } from "../../src/app/run_session.ts";
import { KERNEL, kernelRequest, never } from "./kernel_request.ts";
import { makeAgent, now, settle } from "./make_agent.ts";

const ENDPOINT = { host: "127.0.0.1", commandPort: 30_000, messagePort: 30_001 };
const A = parseRunId("run-a");
const B = parseRunId("run-b");
const FLUSH_MS = 2_000;
const PAUSE_BYTES = 4 * 2 ** 20;

function makeSession({ faults = {}, listening = true } = {}) {
  const clock = new FakeClock();
  const log = new MemoryLog();
  const channels = new FakeRunnerChannels({ log, faults: new FaultPlan(faults), listening });
  const session = new RunSession(KERNEL, ENDPOINT, { channels, clock, log });
  return { clock, log, session, runner: channels.runner(ENDPOINT) };
}

function call(
  mode: ExecuteRequest["mode"],
  runId: RunId | null,
  changes: Partial<ExecuteRequest> = {},
): ExecuteRequest {
  return { kernelId: KERNEL, runId, apiVersion: 3, mode, code: "", options: {}, flushTimeoutMs: FLUSH_MS, ...changes };
}

const query = (runId: RunId | null, code: string, changes: Partial<ExecuteRequest> = {}) =>
  call("query", runId, { code, ...changes });

function out(text: string, kind: "stdout" | "stderr" = "stdout"): OutputRecord {
  return { kind, data: new TextEncoder().encode(text) };
}

function finished(exitCode: number) {
  return { kind: "finished", exitCode } as const;
}

/** Status, exit code and console of a report. */
function short({ status, exitCode, output }: RunReport) {
  return [status, exitCode, "console" in output ? output.console : output];
}

Deno.test("[06-7.5] execute() sends the code, and answers with the output when the run has finished", async () => {
  const { session, runner } = makeSession();
  const running = session.execute(query(A, "print(1)"), never);
  await settle();
  assert.deepEqual(runner.commands, [{ kind: "code", text: "print(1)" }]);
  runner.emit(out("1\n"), finished(0));
  const report = await now(running);
  assert.deepEqual(short(report), ["finished", 0, [["stdout", "1\n"]]]);
  assert.deepEqual([report.runId, report.options], [A, null]);
});

Deno.test("[06-7.4] execute() chooses an id of 32 hex digits when the caller has none", async () => {
  const { session, runner } = makeSession();
  const running = session.execute(query(null, "1"), never);
  runner.emit(finished(0));
  assert.match((await now(running)).runId, /^[0-9a-f]{32}$/);
});

Deno.test("[06-7.5] execute() collects for the flush time, not less, and answers with what there is", async () => {
  const { clock, session, runner } = makeSession();
  let report: RunReport | undefined;
  const running = session.execute(query(A, "loop"), never).then((it) => report = it);
  runner.emit(out("a"));
  await clock.advance(FLUSH_MS - 1);
  assert.equal(report, undefined);
  await clock.advance(1);
  assert.deepEqual(short(await now(running)), ["continued", null, [["stdout", "a"]]]);
  assert.equal(clock.sleepers, 0);
});

Deno.test("[06-9.2] execute() continues a run with the rest of its output, also with what came between two calls", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "loop"), never);
  await clock.advance(FLUSH_MS);
  await first;
  runner.emit(out("between "));
  await settle();
  const second = session.execute(call("continue", A), never);
  runner.emit(out("during\n"), finished(3));
  assert.deepEqual(short(await now(second)), ["finished", 3, [["stdout", "between during\n"]]]);
  assert.equal(runner.commands.length, 1);
});

Deno.test("[06-7.5] execute() without a flush time waits for an event, however long that takes", async () => {
  const { clock, session, runner } = makeSession();
  let report: RunReport | undefined;
  const running = session.execute(query(A, "loop", { flushTimeoutMs: null }), never).then((it) => report = it);
  runner.emit(out("a"));
  await clock.advance(3_600_000);
  assert.equal(report, undefined);
  runner.emit(finished(0));
  assert.equal((await now(running)).status, "finished");
});

Deno.test("[06-7.5] execute() steps through a batch: cleaned, built, finished", async () => {
  const { session, runner } = makeSession();
  const options = { build: "make", exec: "./main" };
  const first = session.execute(call("batch", A, { options }), never);
  await settle();
  assert.deepEqual(runner.commands, [
    { kind: "clean", command: "" },
    { kind: "build", command: "make" },
    { kind: "exec", command: "./main" },
  ]);
  runner.emit({ kind: "clean-finished", exitCode: 0 }, out("cc\n"), { kind: "build-finished", exitCode: 0 });
  assert.deepEqual(short(await now(first)), ["clean-finished", 0, []]);
  const second = session.execute(call("continue", A), never);
  assert.deepEqual(short(await now(second)), ["build-finished", 0, [["stdout", "cc\n"]]]);
  runner.emit(out("hi\n"), finished(0));
  await settle();
  const third = session.execute(call("continue", A), never);
  assert.deepEqual(short(await now(third)), ["finished", 0, [["stdout", "hi\n"]]]);
});

Deno.test("[06-9.3] execute() tells that the program waits for input, and hands it over", async () => {
  const { session, runner } = makeSession();
  const first = session.execute(query(A, "input()"), never);
  runner.emit(out("name? "), { kind: "waiting-input", options: { is_password: false } });
  const report = await now(first);
  assert.deepEqual([report.status, report.exitCode, report.options], ["waiting-input", null, { is_password: false }]);
  const second = session.execute(call("input", A, { code: "Ada" }), never);
  await settle();
  assert.deepEqual(runner.commands.at(-1), { kind: "input", text: "Ada" });
  runner.emit(finished(0));
  await now(second);
});

Deno.test("[06-D-A2] execute() refuses to continue, or to give input to, a run that there is not", async () => {
  const { session } = makeSession();
  await assert.rejects(session.execute(call("continue", A), never), UnknownRun);
  await assert.rejects(session.execute(call("input", A, { code: "x" }), never), UnknownRun);
});

Deno.test("[06-D-A2] execute() gives a run its turn when the one before has finished, fetched or not", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "a"), never);
  await clock.advance(FLUSH_MS);
  await first; // and its client never comes back
  const second = session.execute(query(B, "b"), never);
  runner.emit(out("of a"));
  await settle();
  assert.deepEqual(runner.commands, [{ kind: "code", text: "a" }]);
  runner.emit(finished(0));
  await settle();
  assert.deepEqual(runner.commands.at(-1), { kind: "code", text: "b" });
  runner.emit(out("of b"), finished(0));
  assert.deepEqual(short(await now(second)), ["finished", 0, [["stdout", "of b"]]]);
  assert.deepEqual(short(await session.execute(call("continue", A), never)), ["finished", 0, [["stdout", "of a"]]]);
});

Deno.test("[06-D-A1] execute() tells a waiting run's client that it continues, and lets it come back", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "a", { flushTimeoutMs: null }), never);
  const waiting = session.execute(query(B, "b"), never);
  await clock.advance(FLUSH_MS);
  assert.deepEqual(short(await now(waiting)), ["continued", null, []]);
  runner.emit(finished(0));
  await now(first);
  const again = session.execute(call("continue", B), never);
  runner.emit(finished(5));
  assert.deepEqual(short(await now(again)), ["finished", 5, []]);
});

Deno.test("execute() does not run the code of a repeated request again", async () => {
  const { session, runner } = makeSession();
  const first = session.execute(query(A, "once"), never);
  const second = session.execute(query(A, "once"), never);
  runner.emit({ kind: "waiting-input", options: {} });
  await now(first);
  await settle();
  assert.equal(runner.commands.length, 1);
  runner.emit(finished(0));
  await second.catch(() => {});
});

Deno.test("[06-D-A8] the abort of one call leaves its run as it is", async () => {
  const { clock, session, runner } = makeSession();
  const caller = new AbortController();
  const aborted = session.execute(query(A, "loop"), caller.signal);
  await settle();
  caller.abort(new Error("gone"));
  await assert.rejects(aborted, /gone/);
  assert.equal(clock.sleepers, 0);
  runner.emit(out("still here"), finished(0));
  await settle();
  assert.deepEqual(short(await session.execute(call("continue", A), never)), [
    "finished",
    0,
    [["stdout", "still here"]],
  ]);
});

Deno.test("[06-D-A8] close() ends every waiting call at once, with its output, a notice and the exit code", async () => {
  const { session, runner } = makeSession();
  const active = session.execute(query(A, "a", { flushTimeoutMs: null }), never);
  const waiting = session.execute(query(B, "b", { flushTimeoutMs: null }), never);
  runner.emit(out("so far\n"));
  await settle();
  session.close(137, "The kernel has ended.\n");
  const notice = ["stderr", "The kernel has ended.\n"];
  assert.deepEqual(short(await now(active)), ["finished", 137, [["stdout", "so far\n"], notice]]);
  assert.deepEqual(short(await now(waiting)), ["finished", 137, [notice]]);
  await assert.rejects(session.execute(query(A, "more"), never), KernelEnded);
  session.close(0, "");
});

Deno.test("[06-D-A8] the end of a kernel ends the calls that wait for it, before it is told", async () => {
  const test = makeAgent();
  await test.agent.createKernel(kernelRequest(), never);
  const running = test.agent.execute(query(A, "loop", { flushTimeoutMs: null }), never).then((report) => {
    return [report.status, report.exitCode, test.told.length];
  });
  await settle();
  void test.agent.destroyKernel(KERNEL, "user-requested", never);
  assert.deepEqual(await now(running), ["finished", 137, 3]);
  assert.equal(test.told.length, 4);
});

Deno.test("[06-7.5.1] execute() gives all kinds of output in order, adjacent text of one stream as one item", async () => {
  const { session, runner } = makeSession();
  const running = session.execute(query(A, "plot"), never);
  runner.emit(
    out("a"),
    out("b"),
    out("!", "stderr"),
    { kind: "media", type: "image/svg+xml", data: "<svg/>" },
    { kind: "html", text: "<b>" },
    { kind: "log", text: "loaded" },
    finished(0),
  );
  assert.deepEqual(short(await now(running))[2], [
    ["stdout", "ab"],
    ["stderr", "!"],
    ["media", ["image/svg+xml", "<svg/>"]],
    ["html", "<b>"],
    ["log", "loaded"],
  ]);
});

Deno.test("[06-7.5.1] execute() gives output in the form of API version 1", async () => {
  const { session, runner } = makeSession();
  const running = session.execute(query(A, "plot", { apiVersion: 1 }), never);
  runner.emit(
    out("a"),
    { kind: "media", type: "t", data: 1 },
    { kind: "html", text: "<b>" },
    out("e", "stderr"),
    finished(0),
  );
  assert.deepEqual((await now(running)).output, { stdout: "a", stderr: "e", media: [["t", 1]], html: ["<b>"] });
});

Deno.test("[06-D-A6] execute() for an unknown API version fails, and the run goes on", async () => {
  const { session, runner } = makeSession();
  const running = session.execute(query(A, "1", { apiVersion: 0 }), never);
  runner.emit(out("1"), finished(0));
  await assert.rejects(now(running), InvalidField);
  assert.deepEqual(short(await session.execute(call("continue", A), never)), ["finished", 0, [["stdout", "1"]]]);
});

Deno.test("execute() of a run whose output is too much answers before the flush time is over", async () => {
  const { session, runner } = makeSession();
  const running = session.execute(query(A, "yes"), never);
  runner.emit(out("x".repeat(PAUSE_BYTES)));
  assert.equal((await now(running)).status, "continued");
});

Deno.test("[06-D-A3] output that nobody fetches stops its runner, and fetching it lets the runner go on", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "yes"), never);
  await clock.advance(FLUSH_MS);
  await first;
  runner.emit(out("x".repeat(PAUSE_BYTES)), out("the rest"), finished(0));
  await settle();
  const full = await session.execute(call("continue", A, { flushTimeoutMs: 0 }), never);
  assert.deepEqual([full.status, textOf(full).length], ["continued", PAUSE_BYTES]);
  assert.deepEqual(short(await now(session.execute(call("continue", A), never))), [
    "finished",
    0,
    [["stdout", "the rest"]],
  ]);
});

Deno.test("[06-D-A3] execute() without a flush time does not wait for a runner that has been stopped", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "yes"), never);
  await clock.advance(FLUSH_MS);
  await first;
  runner.emit(out("x".repeat(PAUSE_BYTES)));
  await settle();
  const next = session.execute(call("continue", A, { flushTimeoutMs: null }), never);
  assert.equal(textOf(await now(next)).length, PAUSE_BYTES);
});

Deno.test("[06-D-A2] abandoned output is dropped with a notice, and the runs behind it get their turn", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "yes"), never);
  await clock.advance(FLUSH_MS);
  await first;
  const second = session.execute(query(B, "b", { flushTimeoutMs: null }), never);
  runner.emit(...Array.from({ length: 5 }, () => out("x".repeat(PAUSE_BYTES))), out("tail"), finished(0));
  for (let i = 0; i < 7; i++) {
    session.maintain();
    await clock.advance(10_000);
  }
  assert.deepEqual(runner.commands.at(-1), { kind: "code", text: "b" });
  runner.emit(finished(0));
  assert.equal((await now(second)).status, "finished");
  const [status, , console] = short(await session.execute(call("continue", A), never));
  assert.equal(status, "finished");
  assert.match(JSON.stringify(console), /stderr.*\d+ bytes of output were dropped.*stdout.*tail/);
});

Deno.test("[06-D-A2] a run is abandoned whoever asks for the runs behind it, until somebody asks for it", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "yes"), never);
  await clock.advance(FLUSH_MS);
  await first;
  const flood = () => runner.emit(out("x".repeat(PAUSE_BYTES)));
  flood();
  await clock.advance(60_000);
  session.maintain();
  const second = session.execute(query(B, "b", { flushTimeoutMs: 0 }), never);
  await now(second);
  flood();
  flood();
  runner.emit(finished(0));
  await settle();
  assert.deepEqual(runner.commands.at(-1), { kind: "code", text: "b" });
});

Deno.test("[06-D-A2] a run that was abandoned is kept whole again once its client is back", async () => {
  const { clock, session, runner } = makeSession();
  const first = session.execute(query(A, "yes"), never);
  await clock.advance(FLUSH_MS);
  await first;
  runner.emit(out("x".repeat(PAUSE_BYTES)));
  await clock.advance(60_000);
  session.maintain();
  assert.match(textOf(await session.execute(call("continue", A, { flushTimeoutMs: 0 }), never)), /dropped/);
  runner.emit(out("y".repeat(PAUSE_BYTES)), finished(0));
  await settle();
  assert.equal(textOf(await session.execute(call("continue", A), never)).length, PAUSE_BYTES);
  assert.equal((await now(session.execute(call("continue", A), never))).status, "finished");
});

Deno.test("[06-D-A6] a run whose code cannot be sent is over, and holds up nobody", async () => {
  const fault = new RunnerUnavailable("16777216 bytes of commands wait already");
  const { session, runner } = makeSession({ faults: { send: [fault] } });
  const [status, exitCode, console] = short(await now(session.execute(query(A, "lost"), never)));
  assert.deepEqual([status, exitCode], ["finished", 1]);
  assert.match(JSON.stringify(console), /stderr.*bytes of commands wait/);
  const next = session.execute(query(B, "b"), never);
  runner.emit(finished(0));
  assert.equal((await now(next)).status, "finished");
});

Deno.test("[06-D-A6] a waiting run whose code cannot be sent in its turn is over as well", async () => {
  const { session, runner } = makeSession({ faults: { send: [undefined, new RunnerUnavailable("full"), undefined] } });
  const first = session.execute(query(A, "a"), never);
  const lost = session.execute(query(B, "lost"), never);
  const third = session.execute(query(null, "c"), never);
  runner.emit(finished(0));
  assert.equal((await now(first)).status, "finished");
  assert.deepEqual(short(await now(lost)).slice(0, 2), ["finished", 1]);
  assert.deepEqual(runner.commands.at(-1), { kind: "code", text: "c" });
  runner.emit(finished(0));
  await now(third);
});

Deno.test("execute() fails when input cannot be handed over; the run goes on", async () => {
  const { session, runner } = makeSession({ faults: { send: [undefined, new RunnerUnavailable("full")] } });
  const first = session.execute(query(A, "input()"), never);
  runner.emit({ kind: "waiting-input", options: {} });
  await now(first);
  await assert.rejects(session.execute(call("input", A, { code: "Ada" }), never), RunnerUnavailable);
  runner.emit(finished(0));
  assert.equal((await now(session.execute(call("continue", A), never))).status, "finished");
});

Deno.test("execute() refuses run number 129 while 128 have not finished", async () => {
  const { session } = makeSession();
  const stop = new AbortController();
  const calls = Array.from({ length: 128 }, (_, i) => session.execute(query(parseRunId(`run-${i}`), "x"), stop.signal));
  await assert.rejects(session.execute(query(A, "x"), never), TooManyRuns);
  stop.abort(new Error("over"));
  await Promise.allSettled(calls);
});

Deno.test("[04-D25] a session is busy while a run is under way, fetched or not", async () => {
  const { clock, session, runner } = makeSession();
  assert.equal(session.busy, false);
  const running = session.execute(query(A, "long"), never);
  await clock.advance(FLUSH_MS);
  await running;
  assert.equal(session.busy, true);
  runner.emit(finished(0));
  await settle();
  assert.equal(session.busy, false);
});

Deno.test("maintain() keeps the connection in use and leaves the runner's answers aside", async () => {
  const { session, runner } = makeSession();
  session.maintain();
  await settle();
  assert.deepEqual(runner.commands, [{ kind: "status" }]);
  runner.emit({ kind: "status", startedAt: 1.5 });
  await settle();
  assert.equal(session.busy, false);
});

Deno.test("maintain() copes with a runner that takes nothing", () => {
  const { session } = makeSession({ faults: { send: [new RunnerUnavailable("full")] } });
  session.maintain();
});

Deno.test("maintain() forgets a finished run that nobody has fetched for ten minutes", async () => {
  const { clock, session, runner } = makeSession();
  const running = session.execute(query(A, "x"), never);
  await clock.advance(FLUSH_MS);
  await running;
  runner.emit(finished(0));
  await clock.advance(599_000);
  session.maintain();
  assert.equal((await session.execute(call("continue", A), never)).status, "finished");
  const next = session.execute(query(B, "x"), never);
  await clock.advance(FLUSH_MS);
  await next;
  runner.emit(finished(0));
  await clock.advance(600_000);
  session.maintain();
  await assert.rejects(session.execute(call("continue", B), never), UnknownRun);
});

Deno.test("interrupt() reaches the runner beside the run that is under way", async () => {
  const { clock, session, runner } = makeSession();
  const running = session.execute(query(A, "loop"), never);
  session.interrupt();
  await clock.advance(FLUSH_MS);
  await running;
  assert.deepEqual(runner.commands.map(({ kind }) => kind), ["code", "interrupt"]);
});

Deno.test("detach() leaves the runner to the next agent process", async () => {
  const { session, runner } = makeSession();
  session.detach();
  runner.emit(out("later"), finished(0));
  await settle();
  await assert.rejects(session.execute(call("continue", A), never), KernelEnded);
});

function textOf({ output }: RunReport): string {
  return "console" in output ? output.console.map(([, text]) => text).join("") : output.stdout;
}

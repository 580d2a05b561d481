import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField, TooManyRuns, UnknownRun } from "../../domain/errors.ts";
import { parseRunId, type RunId } from "../../domain/ids.ts";
import { RunQueue, type RunReport } from "../../domain/kernel/run_queue.ts";
import type { ControlRecord, OutputRecord, RunnerCommand } from "../../domain/kernel/runner_message.ts";

const [A, B, C] = ["a", "b", "c"].map(parseRunId) as [RunId, RunId, RunId]; // as many as the array has
const code = (text: string): RunnerCommand[] => [{ kind: "code", text }];
const input = (text: string): RunnerCommand[] => [{ kind: "input", text }];
const out = (text: string): OutputRecord => ({ kind: "stdout", data: new TextEncoder().encode(text) });
const finished = (exitCode: number | null = 0): ControlRecord => ({ kind: "finished", exitCode });
const queue = (options: Partial<ConstructorParameters<typeof RunQueue>[0]> = {}) =>
  new RunQueue({ maxRuns: 8, keepFinishedMs: 1000, ...options });

/** Status, exit code, options and version 2 console of a report. */
function seen(report: RunReport) {
  assert.ok("console" in report.output);
  return [report.status, report.exitCode, report.options, ...report.output.console];
}

Deno.test("[06-9.1] a short run gives its output and its exit code in one report", () => {
  const runs = queue();
  assert.deepEqual(runs.start(A, code("print(1)"), 0), code("print(1)"));
  assert.deepEqual(runs.record(out("1\n"), 1), { wake: undefined, send: [] });
  assert.deepEqual(runs.record(finished(0), 2), { wake: A, send: [] });
  assert.deepEqual(seen(runs.report(A, 2, 3)), ["finished", 0, null, ["stdout", "1\n"]]);
  assert.throws(() => runs.report(A, 2, 4), UnknownRun);
});

Deno.test("[06-9.2] output between two calls is kept, and the run goes on", () => {
  const runs = queue();
  runs.start(A, code("x"), 0);
  runs.record(out("Tick 1\n"), 1);
  assert.deepEqual(seen(runs.report(A, 3, 2)), ["continued", null, null, ["stdout", "Tick 1\n"]]);
  runs.record(out("Tick 2\n"), 3);
  runs.record(out("Tick 3\n"), 4);
  runs.record(finished(0), 5);
  assert.deepEqual(runs.resume(A, [], 6), []);
  assert.deepEqual(seen(runs.report(A, 3, 6)), ["finished", 0, null, ["stdout", "Tick 2\nTick 3\n"]]);
});

Deno.test("[06-9.3] waiting-input ends a call with its options; the answer goes to the active run", () => {
  const runs = queue();
  runs.start(A, code("x"), 0);
  runs.record(out(">> "), 1);
  assert.equal(runs.record({ kind: "waiting-input", options: { is_password: false } }, 2).wake, A);
  assert.deepEqual(seen(runs.report(A, 2, 3)), ["waiting-input", null, { is_password: false }, ["stdout", ">> "]]);
  assert.deepEqual(runs.resume(A, input("Lablup"), 4), input("Lablup"));
  runs.record(out("Hello"), 5);
  runs.record(finished(0), 6);
  assert.deepEqual(seen(runs.report(A, 2, 7)), ["finished", 0, null, ["stdout", "Hello"]]);
});

Deno.test("[06-9.4] a batch reports each step with the output before it", () => {
  const runs = queue();
  const batch: RunnerCommand[] = [
    { kind: "clean", command: "*" },
    { kind: "build", command: "*" },
    { kind: "exec", command: "*" },
  ];
  assert.deepEqual(runs.start(A, batch, 0), batch);
  runs.record({ kind: "clean-finished", exitCode: 0 }, 1);
  runs.record(out("gcc\n"), 2);
  runs.record({ kind: "build-finished", exitCode: 0 }, 3);
  runs.record(out("hello 42\n"), 4);
  runs.record(finished(7), 5);
  assert.deepEqual(seen(runs.report(A, 2, 6)), ["clean-finished", 0, null]);
  assert.deepEqual(seen(runs.report(A, 2, 6)), ["build-finished", 0, null, ["stdout", "gcc\n"]]);
  assert.deepEqual(seen(runs.report(A, 2, 6)), ["finished", 7, null, ["stdout", "hello 42\n"]]);
});

Deno.test("[06-9.9] [06-D-A1] a run that had to wait is sent when the one before it finishes, and can be continued", () => {
  const runs = queue();
  runs.start(A, code("a"), 0);
  assert.deepEqual(runs.start(B, code("b"), 1), []);
  assert.deepEqual(seen(runs.report(B, 2, 2)), ["continued", null, null]);
  assert.equal(runs.activeRun, A);
  assert.deepEqual(runs.record(finished(0), 3), { wake: A, send: code("b") });
  runs.record(out("b1"), 4);
  assert.deepEqual(seen(runs.report(B, 2, 5)), ["continued", null, null, ["stdout", "b1"]]);
  assert.deepEqual(runs.resume(B, [], 6), []);
  runs.record(finished(2), 7);
  assert.deepEqual(seen(runs.report(B, 2, 8)), ["finished", 2, null]);
  assert.deepEqual(seen(runs.report(A, 2, 9)), ["finished", 0, null]);
});

Deno.test("[06-D-A2] a client that never comes back holds up nobody, and its result is kept for a bounded time", () => {
  const runs = queue({ keepFinishedMs: 100 });
  runs.start(A, code("a"), 0);
  runs.start(B, code("b"), 0);
  runs.record(out("a"), 10);
  assert.deepEqual(runs.record(finished(0), 10).send, code("b"));
  runs.expire(109);
  assert.ok(runs.ready(A));
  runs.expire(110);
  assert.throws(() => runs.report(A, 2, 110), UnknownRun);
  assert.equal(runs.activeRun, B);
});

Deno.test("[06-D-A2] resume() and report() refuse a run that does not exist", () => {
  const runs = queue();
  assert.throws(() => runs.resume(A, [], 0), UnknownRun);
  assert.throws(() => runs.resume(A, input("x"), 0), UnknownRun);
  assert.throws(() => runs.report(A, 2, 0), UnknownRun);
  assert.equal(runs.ready(A), true);
});

Deno.test("start() queues a known run not again, so that its code runs once", () => {
  const runs = queue();
  runs.start(A, code("a"), 0);
  runs.start(B, code("b"), 0);
  assert.deepEqual([runs.start(A, code("a"), 1), runs.start(B, code("b"), 1)], [[], []]);
  assert.deepEqual(runs.record(finished(), 2).send, code("b"));
  assert.deepEqual(runs.start(A, code("a"), 3), []);
  assert.deepEqual(runs.record(finished(), 4).send, []);
});

Deno.test("[06-D-R7] resume() drops input for a run that waits or has finished", () => {
  const runs = queue();
  runs.start(A, code("a"), 0);
  runs.start(B, code("b"), 0);
  assert.deepEqual(runs.resume(B, input("x"), 1), []);
  assert.deepEqual(runs.record(finished(), 2).send, code("b"));
  assert.deepEqual(runs.resume(A, input("x"), 3), []);
});

Deno.test("start() throws TooManyRuns beyond the limit; finished runs do not count", () => {
  const runs = queue({ maxRuns: 2 });
  runs.start(A, [], 0);
  runs.start(B, [], 0);
  assert.throws(() => runs.start(C, [], 0), TooManyRuns);
  runs.record(finished(), 1);
  runs.start(C, [], 2);
  assert.ok(runs.ready(A));
});

Deno.test("record() counts and drops what comes while no run is active", () => {
  const runs = queue();
  assert.deepEqual(runs.record(out("x"), 0), { wake: undefined, send: [] });
  assert.deepEqual(runs.record(finished(), 0), { wake: undefined, send: [] });
  assert.equal(runs.droppedRecords, 2);
  runs.start(A, [], 1);
  assert.deepEqual(seen(runs.report(A, 2, 2)), ["continued", null, null]);
});

Deno.test("[06-D-A6] report() refuses an unusable API version and the run goes on", () => {
  const runs = queue();
  runs.start(A, [], 0);
  runs.record(out("x"), 1);
  runs.record(finished(1), 2);
  assert.throws(() => runs.report(A, 0, 3), InvalidField);
  assert.deepEqual(runs.report(A, 1, 4).output, { stdout: "x", stderr: "", media: [], html: [] });
});

Deno.test("[06-7.3] record() resets the decoders at build-finished and finished, not at clean-finished", () => {
  const runs = queue();
  const half = (byte: number): OutputRecord => ({ kind: "stdout", data: Uint8Array.of(byte) });
  const steps = (...messages: (OutputRecord | ControlRecord)[]) => {
    runs.start(A, [], 0);
    for (const message of [...messages, finished()]) runs.record(message, 0);
    const all = messages.filter((message) => "exitCode" in message).map(() => seen(runs.report(A, 2, 0))[3]);
    return [...all, seen(runs.report(A, 2, 0))[3]];
  };
  const clean: ControlRecord = { kind: "clean-finished", exitCode: 0 };
  const build: ControlRecord = { kind: "build-finished", exitCode: 0 };
  assert.deepEqual(steps(half(0xc3), clean, half(0xa9)), [undefined, ["stdout", "é"]]);
  assert.deepEqual(steps(half(0xc3), build, half(0xa9)), [undefined, ["stdout", "\ufffd"]]);
  assert.deepEqual(steps(half(0xc3)), [undefined]);
  assert.deepEqual(steps(half(0xa9)), [["stdout", "\ufffd"]]);
});

Deno.test("[06-D-A8] endAll() finishes every run with a notice after its output", () => {
  const runs = queue();
  runs.start(A, code("a"), 0);
  runs.start(B, code("b"), 0);
  runs.start(C, code("c"), 0);
  runs.record(out("done"), 1);
  runs.record(finished(0), 2);
  runs.record(out("half"), 3);
  assert.deepEqual(runs.endAll(137, "killed\n"), [B, C]);
  assert.deepEqual(seen(runs.report(A, 2, 4)), ["finished", 0, null, ["stdout", "done"]]);
  assert.deepEqual(seen(runs.report(B, 2, 4)), ["finished", 137, null, ["stdout", "half"], ["stderr", "killed\n"]]);
  assert.deepEqual(seen(runs.report(C, 2, 4)), ["finished", 137, null, ["stderr", "killed\n"]]);
  assert.deepEqual([runs.busy, runs.endAll(1, "again")], [false, []]);
});

Deno.test("[06-D-A3] discardOutput() drops the active run's output, keeps its steps, and says how much", () => {
  const runs = queue();
  runs.start(A, [], 0);
  runs.start(B, [], 0);
  runs.record(out("12345"), 1);
  runs.record({ kind: "clean-finished", exitCode: 3 }, 2);
  runs.record(out("678"), 3);
  assert.ok(runs.bufferedBytes >= 8);
  runs.discardOutput();
  assert.equal(runs.bufferedBytes, 0);
  runs.record(out("9"), 4);
  const [status, exitCode, , marker] = seen(runs.report(A, 2, 5));
  assert.deepEqual([status, exitCode], ["clean-finished", 3]);
  assert.match(String(marker), /^stderr,.*\b5 bytes\b/);
  assert.match(String(seen(runs.report(A, 2, 6))), /\b3 bytes\b.*stdout,9$/s);
});

Deno.test("discardOutput() without an active run does nothing", () => {
  const runs = queue();
  runs.discardOutput();
  assert.deepEqual([runs.bufferedBytes, runs.activeRun, runs.busy], [0, undefined, false]);
});

Deno.test("finished runs that nobody fetches are bounded in number and in bytes, the newest kept whole", () => {
  const runs = queue({ maxRuns: 3, keepFinishedBytes: 1000 });
  const ids = Array.from({ length: 5 }, (_, i) => parseRunId(`run-${i}`));
  for (const id of ids) {
    runs.start(id, [], 0);
    runs.record(out("x".repeat(800)), 0);
    runs.record(finished(5), 0);
  }
  const [first = A, second = A, third = A, , last = A] = ids;
  for (const id of [first, second]) assert.throws(() => runs.report(id, 2, 1), UnknownRun);
  assert.match(String(seen(runs.report(third, 2, 1))), /^finished,5,,stderr,.*\b800 bytes\b/);
  assert.deepEqual(seen(runs.report(last, 2, 1)), ["finished", 5, null, ["stdout", "x".repeat(800)]]);
});

Deno.test("record() bounds the control records of a run and never drops its end", () => {
  const runs = queue();
  runs.start(A, [], 0);
  for (let i = 0; i < 1000; i++) runs.record({ kind: "waiting-input", options: {} }, 0);
  runs.record(finished(9), 0);
  let reports = 1;
  let report = runs.report(A, 2, 1);
  for (; report.status !== "finished"; report = runs.report(A, 2, 1)) reports++;
  assert.deepEqual([report.exitCode, reports + runs.droppedRecords], [9, 1001]);
  assert.ok(reports < 500);
});

type Operation =
  | { readonly kind: "start" | "resume" | "report"; readonly run: number }
  | { readonly kind: "out" | "step" | "finished" | "expire" | "end" };
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("start", "resume", "report"), run: fc.nat(5) }) },
  { weight: 6, arbitrary: fc.constantFrom("out", "step", "finished").map((kind) => ({ kind })) },
  { weight: 1, arbitrary: fc.constantFrom("expire", "end").map((kind) => ({ kind })) },
) as fc.Arbitrary<Operation>; // the kinds above are those of the type

Deno.test("RunQueue is first come first served, runs each run once, and loses and mixes up no output", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
      const model = new Model();
      operations.forEach((operation, nowMs) => model.perform(operation, nowMs));
      model.drain(operations.length);
    }),
    { numRuns: 500 },
  );
});

/** Numbers everything the program prints, and follows which run must get it. */
class Model {
  readonly #runs = new RunQueue({ maxRuns: 4, keepFinishedMs: 15 });
  #waiting: RunId[] = [];
  #active: RunId | undefined;
  #printed = 0;
  readonly #expected = new Map<RunId, string>();
  readonly #got = new Map<RunId, string>();
  readonly #finishedAt = new Map<RunId, number>();
  #nowMs = 0;

  perform(operation: Operation, nowMs: number) {
    if (operation.kind !== "end") this.#nowMs = nowMs;
    if ("run" in operation) this.#call(operation.kind, parseRunId(`run-${operation.run}`), nowMs);
    else if (operation.kind === "expire") this.#expire(nowMs);
    else if (operation.kind === "end") this.#end();
    else this.#message(operation.kind, nowMs);
    assert.equal(this.#runs.activeRun, this.#active);
    assert.equal(this.#runs.busy, this.#active !== undefined);
  }

  drain(nowMs: number) {
    while (this.#active !== undefined) this.#message("finished", nowMs);
    for (const run of [...this.#expected.keys()]) while (this.#expected.has(run)) this.#report(run, nowMs);
    this.#runs.expire(nowMs + 1000);
    assert.equal(this.#runs.totalBytes, 0);
  }

  #call(kind: "start" | "resume" | "report", run: RunId, nowMs: number) {
    const known = this.#expected.has(run);
    if (kind === "start") return this.#start(run, known, nowMs);
    if (!known) {
      assert.throws(
        () => kind === "resume" ? this.#runs.resume(run, [], nowMs) : this.#runs.report(run, 2, nowMs),
        UnknownRun,
      );
    } else if (kind === "report") {
      this.#report(run, nowMs);
    } else {
      assert.equal(this.#runs.resume(run, input("i"), nowMs).length, run === this.#active ? 1 : 0);
    }
  }

  #start(run: RunId, known: boolean, nowMs: number) {
    const unfinished = this.#waiting.length + (this.#active === undefined ? 0 : 1);
    if (!known && unfinished === 4) {
      assert.throws(() => this.#runs.start(run, code(run), nowMs), TooManyRuns);
      return;
    }
    const sent = this.#runs.start(run, code(run), nowMs);
    if (known) return assert.deepEqual(sent, []);
    this.#expected.set(run, "");
    this.#got.set(run, "");
    if (this.#active !== undefined) {
      this.#waiting.push(run);
      return assert.deepEqual(sent, []);
    }
    this.#active = run;
    assert.deepEqual(sent, code(run));
  }

  #message(kind: "out" | "step" | "finished", nowMs: number) {
    const run = this.#active;
    if (kind === "out") {
      const text = `${this.#printed++};`;
      assert.deepEqual(this.#runs.record(out(text), nowMs), { wake: undefined, send: [] });
      if (run !== undefined) this.#expected.set(run, `${this.#expected.get(run)}${text}`);
      return;
    }
    const control = kind === "step" ? { kind: "clean-finished" as const, exitCode: 0 } : finished();
    const { wake, send } = this.#runs.record(control, nowMs);
    assert.equal(wake, run);
    if (run === undefined || kind === "step") return assert.deepEqual(send, []);
    assert.ok(this.#runs.ready(run));
    this.#finishedAt.set(run, nowMs);
    this.#active = this.#waiting.shift();
    assert.deepEqual(send, this.#active === undefined ? [] : code(this.#active));
    this.#forgetOldest();
  }

  #report(run: RunId, nowMs: number) {
    const ready = this.#runs.ready(run);
    const { status, output } = this.#runs.report(run, 2, nowMs);
    assert.equal(status !== "continued", ready);
    assert.ok("console" in output);
    this.#got.set(run, `${this.#got.get(run)}${output.console.map(([, text]) => text).join("")}`);
    if (status !== "finished") return;
    assert.equal(this.#got.get(run), this.#expected.get(run));
    this.#forget(run);
  }

  #expire(nowMs: number) {
    this.#runs.expire(nowMs);
    for (const [run, at] of this.#finishedAt) if (nowMs - at >= 15) this.#forget(run);
  }

  #end() {
    const ended = [this.#active, ...this.#waiting].filter((run) => run !== undefined);
    assert.deepEqual(this.#runs.endAll(137, "!"), ended);
    for (const run of ended) {
      this.#expected.set(run, `${this.#expected.get(run)}!`);
      this.#finishedAt.set(run, this.#nowMs);
    }
    this.#active = undefined;
    this.#waiting = [];
    this.#forgetOldest();
  }

  /** As many finished runs as may run are kept. */
  #forgetOldest() {
    for (const run of [...this.#finishedAt.keys()].slice(0, -4)) this.#forget(run);
  }

  #forget(run: RunId) {
    this.#expected.delete(run);
    this.#finishedAt.delete(run);
  }
}

/** The runs of one kernel: one at a time, first come first served. Source: 06 §7.4, §7.5. */
import { TooManyRuns, UnknownRun } from "../errors.ts";
import type { RunId } from "../ids.ts";
import { checkApiVersion, ConsoleBuffer, type ConsoleOutput } from "./console.ts";
import type { ControlRecord, OutputRecord, RunnerCommand } from "./runner_message.ts";

export type RunStatus =
  | "continued"
  | "clean-finished"
  | "build-finished"
  | "finished"
  | "waiting-input"
  | "exec-timeout";

/** What one `execute` call tells its client. */
export interface RunReport {
  readonly runId: RunId;
  readonly status: RunStatus;
  /** Of the step that finished; null if none did or the runner gave none. Encoding: 06 §4.1. */
  readonly exitCode: number | null;
  /** Of `waiting-input`, else null. */
  readonly options: Readonly<Record<string, unknown>> | null;
  readonly output: ConsoleOutput;
}

export interface RunQueueOptions {
  /** Upper bound of runs that have not finished. As many finished ones are kept at most. */
  readonly maxRuns: number;
  /** How long a finished run waits for its client. */
  readonly keepFinishedMs: number;
  /** What finished runs may keep in all; beyond it the oldest lose their output, not their end. Default 16 MiB. */
  readonly keepFinishedBytes?: number;
}

/** What a message of the runner leads to. */
export interface Recorded {
  /** The run for which something happened that its client waits for. */
  readonly wake: RunId | undefined;
  /** Commands of the next run, to be sent now. */
  readonly send: readonly RunnerCommand[];
}

/** A control record and what was printed before it. */
interface Stage {
  readonly control: ControlRecord;
  readonly output: ConsoleBuffer;
}

interface Run {
  readonly id: RunId;
  /** Sent when it becomes active; empty from then on. */
  commands: readonly RunnerCommand[];
  readonly output: ConsoleBuffer;
  /** Control records that no client has seen yet. */
  stages: Stage[];
  /** When it finished; undefined before. */
  finishedAtMs: number | undefined;
}

const NO_COMMANDS: readonly RunnerCommand[] = [];
const NOTHING: Recorded = { wake: undefined, send: NO_COMMANDS };
const DEFAULT_KEEP_FINISHED_BYTES = 16 * 2 ** 20;
/** A runner that repeats itself cannot make a run grow: further control records are dropped, except the last. */
const MAX_STAGES = 256;

/**
 * Runs are known from {@linkcode RunQueue.start} until their end was reported or has waited too long. The end is
 * detected when the runner says it, not when a client asks, so a client that never comes back holds up nobody (06-D-A2).
 *
 * Invariant: one run is active if and only if an unfinished run exists, and it is the oldest of these.
 */
export class RunQueue {
  readonly #maxRuns: number;
  readonly #keepFinishedMs: number;
  readonly #keepFinishedBytes: number;
  /** Every known run, in the order of their start. */
  readonly #runs = new Map<RunId, Run>();
  #active: Run | undefined;
  #unfinished = 0;
  #droppedRecords = 0;
  #nowMs = 0;

  constructor(options: RunQueueOptions) {
    this.#maxRuns = options.maxRuns;
    this.#keepFinishedMs = options.keepFinishedMs;
    this.#keepFinishedBytes = options.keepFinishedBytes ?? DEFAULT_KEEP_FINISHED_BYTES;
  }

  /**
   * Adds a run. Returns what to send now: its commands, or nothing while it waits behind others. For an id that is
   * known nothing is queued anew, so that a repeated request does not run its code twice.
   * @throws {TooManyRuns}
   */
  start(runId: RunId, commands: readonly RunnerCommand[], nowMs: number): readonly RunnerCommand[] {
    this.#nowMs = nowMs;
    if (this.#runs.has(runId)) return NO_COMMANDS;
    if (this.#unfinished >= this.#maxRuns) throw new TooManyRuns(this.#maxRuns);
    const run: Run = { id: runId, commands, output: new ConsoleBuffer(), stages: [], finishedAtMs: undefined };
    this.#runs.set(runId, run);
    this.#unfinished++;
    return this.#active === undefined ? this.#activate(run) : NO_COMMANDS;
  }

  /**
   * Continues a known run. Returns what to send now: `commands` if it is the active one. Input for a run that waits or
   * has finished is dropped; it would reach another run's program (06-D-R7).
   * @throws {UnknownRun}
   */
  resume(runId: RunId, commands: readonly RunnerCommand[], nowMs: number): readonly RunnerCommand[] {
    this.#nowMs = nowMs;
    return this.#known(runId) === this.#active ? commands : NO_COMMANDS;
  }

  /** Takes a message for the active run. Without an active run it is counted and dropped. */
  record(message: OutputRecord | ControlRecord, nowMs: number): Recorded {
    this.#nowMs = nowMs;
    const run = this.#active;
    if (run === undefined) {
      this.#droppedRecords++;
      return NOTHING;
    }
    switch (message.kind) {
      case "clean-finished":
      case "build-finished":
      case "waiting-input":
        return this.#endStep(run, message);
      case "finished":
        return this.#finish(run, message);
      default:
        run.output.push(message);
        return NOTHING;
    }
  }

  /**
   * Whether {@linkcode RunQueue.report} would give something other than `continued`; true for an unknown run too,
   * because there is nothing to wait for.
   */
  ready(runId: RunId): boolean {
    const run = this.#runs.get(runId);
    return run === undefined || run.stages.length > 0;
  }

  /**
   * Gives the output up to and with the first control record that nobody has seen; all of it, and `continued`, if there
   * is none. A finished run is forgotten with its last report.
   * @throws {UnknownRun}
   * @throws {InvalidField} for an unusable API version; then nothing is lost (06-D-A6).
   */
  report(runId: RunId, apiVersion: number, nowMs: number): RunReport {
    this.#nowMs = nowMs;
    checkApiVersion(apiVersion);
    const run = this.#known(runId);
    const stage = run.stages.shift();
    if (stage === undefined) {
      return { runId, status: "continued", exitCode: null, options: null, output: run.output.take(apiVersion) };
    }
    const { control } = stage;
    if (control.kind === "finished") this.#runs.delete(runId);
    const waiting = control.kind === "waiting-input";
    return {
      runId,
      status: control.kind,
      exitCode: waiting ? null : control.exitCode,
      options: waiting ? control.options : null,
      output: stage.output.take(apiVersion),
    };
  }

  /** What the active run's output costs; 0 without one. See {@linkcode ConsoleBuffer.bytes}. */
  get bufferedBytes(): number {
    return this.#active === undefined ? 0 : runBytes(this.#active);
  }

  /** What all known runs' output costs. */
  get totalBytes(): number {
    let total = 0;
    for (const run of this.#runs.values()) total += runBytes(run);
    return total;
  }

  get activeRun(): RunId | undefined {
    return this.#active?.id;
  }

  /** Whether a run is active; running code counts as use of the kernel (06-D-A10). */
  get busy(): boolean {
    return this.#active !== undefined;
  }

  /** Messages that came while no run was active. */
  get droppedRecords(): number {
    return this.#droppedRecords;
  }

  /** Drops the active run's output; its control records stay, and a line on stderr says how much was dropped. */
  discardOutput(): void {
    if (this.#active !== undefined) discardRun(this.#active);
  }

  /**
   * The kernel ended: every run that has not finished gets `notice` on stderr and finishes with `exitCode` (06-D-A8).
   * Returns them in the order of their start, to be woken.
   */
  endAll(exitCode: number, notice: string): readonly RunId[] {
    const data = new TextEncoder().encode(notice);
    const unfinished = [...this.#runs.values()].filter((run) => run.finishedAtMs === undefined);
    this.#active = undefined;
    for (const run of unfinished) {
      run.output.push({ kind: "stderr", data });
      this.#close(run, { kind: "finished", exitCode });
    }
    return unfinished.map((run) => run.id);
  }

  /** Forgets finished runs that nobody has fetched for `keepFinishedMs`. */
  expire(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const run of this.#runs.values()) {
      if (run.finishedAtMs !== undefined && nowMs - run.finishedAtMs >= this.#keepFinishedMs) this.#runs.delete(run.id);
    }
  }

  #known(runId: RunId): Run {
    const run = this.#runs.get(runId);
    if (run === undefined) throw new UnknownRun(runId);
    return run;
  }

  #activate(run: Run): readonly RunnerCommand[] {
    const { commands } = run;
    this.#active = run;
    run.commands = NO_COMMANDS;
    return commands;
  }

  #endStep(run: Run, control: ControlRecord): Recorded {
    if (run.stages.length >= MAX_STAGES) {
      this.#droppedRecords++;
      return NOTHING;
    }
    if (control.kind === "build-finished") run.output.resetDecoders();
    run.stages.push({ control, output: run.output.detach() });
    return { wake: run.id, send: NO_COMMANDS };
  }

  #finish(run: Run, control: ControlRecord): Recorded {
    this.#close(run, control);
    const next = this.#oldestUnfinished();
    this.#active = undefined;
    return { wake: run.id, send: next === undefined ? NO_COMMANDS : this.#activate(next) };
  }

  /** The last stage of a run, for which there is always room. */
  #close(run: Run, control: ControlRecord): void {
    run.output.resetDecoders();
    run.stages.push({ control, output: run.output.detach() });
    run.commands = NO_COMMANDS;
    run.finishedAtMs = this.#nowMs;
    this.#unfinished--;
    if (this.#runs.size - this.#unfinished > 1) this.#boundFinished();
  }

  #oldestUnfinished(): Run | undefined {
    for (const run of this.#runs.values()) if (run.finishedAtMs === undefined) return run;
    return undefined;
  }

  /** The newest finished run is always kept whole: its client is most likely the one that asks next. */
  #boundFinished(): void {
    const [newest, ...older] = [...this.#runs.values()].filter((run) => run.finishedAtMs !== undefined).reverse();
    let bytes = newest === undefined ? 0 : runBytes(newest);
    for (const [index, run] of older.entries()) {
      bytes += runBytes(run);
      if (index + 1 >= this.#maxRuns) this.#runs.delete(run.id);
      else if (bytes > this.#keepFinishedBytes) discardRun(run);
    }
  }
}

function runBytes(run: Run): number {
  return run.stages.reduce((total, stage) => total + stage.output.bytes, run.output.bytes);
}

function discardRun(run: Run): void {
  run.output.discard();
  for (const stage of run.stages) stage.output.discard();
}

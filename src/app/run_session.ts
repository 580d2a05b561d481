import { KernelEnded, RunnerUnavailable } from "../../domain/errors.ts";
import type { KernelId, RunId } from "../../domain/ids.ts";
import { RunQueue, type RunReport } from "../../domain/kernel/run_queue.ts";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { RunnerChannel, RunnerChannels, RunnerEndpoint } from "../ports/runner_channels.ts";
import type { ExecuteRequest } from "./agent_service.ts";

/** Output of the active run above which its runner has to wait, and below which it goes on. */
const PAUSE_BYTES = 4 * 1024 * 1024;
const RESUME_BYTES = 1024 * 1024;
/** How long a paused run may go unread before its output is dropped, so that runs behind it get their turn (06 D-A2). */
const ABANDONED_MS = 60_000;
const KEEP_FINISHED_MS = 600_000;
const MAX_RUNS = 128;
/** Exit code of a run whose code never reached its runner. */
const NOT_BEGUN = 1;

export interface RunSessionDeps {
  readonly channels: RunnerChannels;
  readonly clock: Clock;
  readonly log: Log;
}

/** The runs of one kernel: who may execute now, what the program prints, and who waits for it. Source: 06 §7. */
export class RunSession {
  readonly #kernelId: KernelId;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #queue = new RunQueue({ maxRuns: MAX_RUNS, keepFinishedMs: KEEP_FINISHED_MS });
  readonly #channel: RunnerChannel;
  readonly #waiting = new Map<RunId, Set<() => void>>();
  /** Monotonic time at which the runner was made to wait. */
  #pausedAtMs: number | undefined;
  /** The run whose output is dropped because nobody fetches it. */
  #abandoned: RunId | undefined;
  #closed = false;

  constructor(kernelId: KernelId, endpoint: RunnerEndpoint, deps: RunSessionDeps) {
    this.#kernelId = kernelId;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#channel = deps.channels.open(endpoint, (message) => this.#receive(message));
  }

  /** Whether a run is under way: counts as use of the kernel (04-D25). */
  get busy(): boolean {
    return this.#queue.busy;
  }

  /**
   * @throws {KernelEnded}, {UnknownRun}, {TooManyRuns}; {RunnerUnavailable} if input cannot be handed over;
   * `signal.reason` when aborted.
   */
  async execute(request: ExecuteRequest, signal: AbortSignal): Promise<RunReport> {
    if (this.#closed) throw new KernelEnded(this.#kernelId);
    const runId = request.runId ?? newRunId();
    const commands = commandsOf(request);
    const nowMs = this.#clock.monotonic();
    const starts = request.mode === "query" || request.mode === "batch";
    if (starts) this.#begin(this.#queue.start(runId, commands, nowMs));
    else this.#send(this.#queue.resume(runId, commands, nowMs));
    if (this.#abandoned === runId) this.#abandoned = undefined;
    if (!this.#queue.ready(runId) && !this.#isHeld(runId)) await this.#settled(runId, request.flushTimeoutMs, signal);
    const report = this.#queue.report(runId, request.apiVersion, this.#clock.monotonic());
    this.#relieve();
    return report;
  }

  interrupt(): void {
    this.#channel.send({ kind: "interrupt" });
  }

  /** Keeps the connection in use, and lets go of runs and output that nobody came for. Called every few seconds. */
  maintain(): void {
    const nowMs = this.#clock.monotonic();
    this.#queue.expire(nowMs);
    if (this.#pausedAtMs === undefined) return this.#keepAlive();
    if (nowMs - this.#pausedAtMs < ABANDONED_MS) return;
    this.#log.warn("run output dropped: nobody fetched it", { kernelId: this.#kernelId, run: this.#queue.activeRun });
    this.#abandoned = this.#queue.activeRun;
    this.#queue.discardOutput();
    this.#relieve();
  }

  /** Ends every run at once: waiting calls get what was printed, `notice`, and `exitCode` (06 D-A8). Idempotent. */
  close(exitCode: number, notice: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel.close();
    for (const runId of this.#queue.endAll(exitCode, notice)) this.#wake(runId);
  }

  /** Closes the connection and leaves the runs to the next agent process. Idempotent. */
  detach(): void {
    this.#closed = true;
    this.#channel.close();
  }

  #receive(message: RunnerMessage): void {
    if (message.kind === "status" || message.kind === "completion") return; // nobody asks for their content yet
    const { wake, send } = this.#queue.record(message, this.#clock.monotonic());
    if (wake !== undefined) this.#wake(wake);
    this.#begin(send);
    if (this.#queue.bufferedBytes >= PAUSE_BYTES) this.#hold();
  }

  /** Too much is unread: whoever waits gets it now; the runner waits until it has been fetched. */
  #hold(): void {
    const run = this.#queue.activeRun;
    if (run !== undefined && run === this.#abandoned) return this.#queue.discardOutput();
    if (run !== undefined) this.#wake(run);
    if (this.#pausedAtMs !== undefined) return;
    this.#pausedAtMs = this.#clock.monotonic();
    this.#channel.pause();
  }

  /** Whether nothing more comes for this run until what there is has been fetched. */
  #isHeld(runId: RunId): boolean {
    return this.#pausedAtMs !== undefined && this.#queue.activeRun === runId;
  }

  #relieve(): void {
    if (this.#pausedAtMs === undefined || this.#queue.bufferedBytes > RESUME_BYTES) return;
    this.#pausedAtMs = undefined;
    this.#channel.resume();
  }

  /** The commands of a run in its turn. If they cannot be sent it is over, and the next one has its turn. */
  #begin(commands: readonly RunnerCommand[]): void {
    try {
      this.#send(commands);
    } catch (error) {
      if (!(error instanceof RunnerUnavailable)) throw error;
      this.#log.warn("run not begun", { kernelId: this.#kernelId, run: this.#queue.activeRun, error });
      this.#receive({ kind: "stderr", data: new TextEncoder().encode(`${error.message}\n`) });
      this.#receive({ kind: "finished", exitCode: NOT_BEGUN });
    }
  }

  #keepAlive(): void {
    try {
      this.#channel.send({ kind: "status" });
    } catch (error) {
      this.#log.debug("runner not kept alive", { kernelId: this.#kernelId, error });
    }
  }

  #send(commands: readonly RunnerCommand[]): void {
    for (const command of commands) this.#channel.send(command);
  }

  #wake(runId: RunId): void {
    for (const wake of this.#waiting.get(runId) ?? []) wake();
  }

  /** Resolves when the run has something to report or `limitMs` is over. */
  async #settled(runId: RunId, limitMs: number | null, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise: woken, resolve, reject } = Promise.withResolvers<void>();
    const stop = new AbortController();
    const onAbort = () => reject(signal.reason);
    const waiters = this.#waiting.get(runId) ?? new Set();
    this.#waiting.set(runId, waiters.add(resolve));
    signal.addEventListener("abort", onAbort, { once: true });
    if (limitMs !== null) this.#clock.sleep(limitMs, stop.signal).then(resolve, () => {});
    try {
      await woken;
    } finally {
      stop.abort();
      signal.removeEventListener("abort", onAbort);
      waiters.delete(resolve);
      if (waiters.size === 0 && this.#waiting.get(runId) === waiters) this.#waiting.delete(runId);
    }
  }
}

/** 32 random hex digits, as 06 §7.4 has it. */
function newRunId(): RunId {
  return crypto.randomUUID().replaceAll("-", "") as RunId; // 32 characters
}

/** What a call sends to the runner once its run is the active one. Source: 06 §7.5. */
function commandsOf({ mode, code, options }: ExecuteRequest): readonly RunnerCommand[] {
  switch (mode) {
    case "query":
      return [{ kind: "code", text: code }];
    case "input":
      return [{ kind: "input", text: code }];
    case "continue":
      return [];
    case "batch":
      return [
        { kind: "clean", command: options.clean ?? "" },
        { kind: "build", command: options.build ?? "" },
        { kind: "exec", command: options.exec ?? "" },
      ];
    default:
      return mode satisfies never;
  }
}

import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";
import type { Duplex, Readable } from "node:stream";

export type OutputStream = "stdout" | "stderr";

/** Takes output as it is read. `full` stops the reading, and the child waits in its writes, until `room()` resolves. */
export interface OutputGate {
  readonly full: boolean;
  room(): Promise<void>;
}

export interface ChildOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly gate: OutputGate;
  readonly onOutput: (stream: OutputStream, chunk: Uint8Array) => void;
  /** Opens descriptors 3 (to the child) and 4 (from it) as well; called with what comes from 4. */
  readonly onEvent?: (chunk: Uint8Array) => void;
}

/** After the process has ended its pipes may be held open by what it started: give up after this long without output. */
const QUIET_MS = 100;

/**
 * One child and everything it starts: a process group of its own, standard input from `/dev/null`, standard output and
 * error through pipes. The constructor does not throw; a program that cannot be started ends with a `failure`.
 */
export class Child {
  /** Exit status; -N after signal N; never rejects. */
  readonly exited: Promise<number>;
  /** Why the program could not be started. */
  failure: Error | undefined;
  readonly #child: ChildProcess;
  readonly #gate: OutputGate;
  readonly #open = new Map<OutputStream, Readable>();
  #lastOutputMs = 0;
  #ended = false;

  constructor(options: ChildOptions) {
    this.#gate = options.gate;
    const control = options.onEvent === undefined ? [] : ["pipe" as const, "pipe" as const];
    this.#child = spawn(options.file, [...options.args], {
      cwd: options.cwd,
      env: options.environment,
      detached: true, // a session and process group of its own: signals reach its children too (06 D-R5)
      stdio: ["ignore", "pipe", "pipe", ...control],
    });
    this.exited = new Promise((resolve) => {
      this.#child.once("error", (err) => {
        this.failure = err;
        this.#ended = true;
        resolve(-1);
      });
      this.#child.once("exit", (code, signal) => {
        this.#ended = true;
        resolve(signal === null ? code ?? -1 : -(constants.signals[signal] ?? 0));
      });
    });
    preferForOom(this.#child.pid);
    this.#pump("stdout", this.#child.stdout, options.onOutput);
    this.#pump("stderr", this.#child.stderr, options.onOutput);
    const { onEvent } = options;
    if (onEvent !== undefined) this.#streamAt(4)?.on("data", onEvent).on("error", () => {});
    this.#streamAt(3)?.on("error", () => {}); // the child is gone, which `exited` says
  }

  /** `undefined` if it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Writes to the child's descriptor 3. */
  write(bytes: Uint8Array): void {
    this.#streamAt(3)?.write(bytes);
  }

  /** To the child and everything in its group. Nobody there any more is not an error. */
  signal(name: "SIGINT" | "SIGTERM" | "SIGKILL"): void {
    const { pid } = this;
    if (pid === undefined) return;
    try {
      process.kill(-pid, name);
    } catch {
      // the group is empty
    }
  }

  /** Once no output is to come: both pipes have ended, or the process has and they stayed quiet (06 D-R14). */
  async drained(): Promise<void> {
    await this.exited;
    this.#lastOutputMs = performance.now();
    while (this.#open.size > 0) {
      if (!this.#gate.full && performance.now() - this.#lastOutputMs > QUIET_MS) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Whether this stream can still bring output. */
  isOpen(stream: OutputStream): boolean {
    return this.#open.has(stream);
  }

  /** When output was last read, on the clock of `performance.now()`. */
  get lastOutputMs(): number {
    return this.#lastOutputMs;
  }

  /** SIGTERM, SIGKILL after `graceMs`, to the whole group; resolves when the process has ended. */
  async stop(graceMs: number): Promise<void> {
    if (this.#ended) return this.signal("SIGKILL");
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    await this.exited;
    clearTimeout(timer);
    this.signal("SIGKILL"); // what is left of the group
  }

  /** Stops reading what others still may write to the pipes. */
  release(): void {
    for (const stream of this.#open.values()) stream.destroy();
    this.#open.clear();
    for (const at of [3, 4]) this.#streamAt(at)?.destroy();
  }

  #pump(name: OutputStream, stream: Readable | null, onOutput: ChildOptions["onOutput"]): void {
    if (stream === null) return; // could not be started
    this.#open.set(name, stream);
    const ended = () => this.#open.delete(name);
    stream.on("end", ended).on("close", ended).on("error", ended);
    stream.on("data", (chunk: Uint8Array) => {
      this.#lastOutputMs = performance.now();
      onOutput(name, chunk);
      if (!this.#gate.full) return;
      stream.pause();
      this.#gate.room().then(() => stream.resume());
    });
  }

  #streamAt(at: 3 | 4 | number): Duplex | undefined {
    // Extra descriptors opened as "pipe" are duplex streams; the type cannot say so for a variable `stdio`.
    return (this.#child.stdio[at] ?? undefined) as Duplex | undefined;
  }
}

/** When the container runs out of memory user code is to end, which can be told, rather than the runner. */
function preferForOom(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, "300"); // raising needs no privilege
  } catch {
    // it has ended already, or there is no /proc
  }
}

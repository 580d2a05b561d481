import { Child, type OutputGate, type OutputStream } from "./child_process.ts";
import { type DriverFrame, DriverFrameReader, encodeDriverFrame } from "./driver_frames.ts";
import { interruptSignal } from "./interrupt_policy.ts";
import { MarkerScanner } from "./marker_scanner.ts";
import type { QueryEngine, QueryObserver } from "./query_engine.ts";

export interface InterpreterOptions {
  /** For messages: `Python`, `TypeScript`. */
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly gate: OutputGate;
  /** After an interrupt the interpreter is killed unless the query ends within this time; default: never. */
  readonly interruptGraceMs?: number;
}

const READY_LIMIT_MS = 30_000;
/** How long a marker may be missing while its pipe brings nothing: then somebody closed the descriptor. */
const MARKER_LIMIT_MS = 1_000;
const MAX_EVENT_BYTES = 1024 * 1024;
const STREAMS = ["stdout", "stderr"] as const;

/** A query engine over an interpreter driver that lives through all queries; replaced when it dies (06 D-R3). */
export class Interpreter implements QueryEngine {
  readonly #options: InterpreterOptions;
  readonly #observer: QueryObserver;
  #process: DriverProcess | undefined;
  #interrupts = 0;
  #state: "idle" | "starting" | "busy" = "idle";
  #stopped = false;

  constructor(options: InterpreterOptions, observer: QueryObserver) {
    this.#options = options;
    this.#observer = observer;
  }

  start(): void {
    if (this.#stopped) return;
    const started = new DriverProcess(this.#options, this.#observer);
    this.#process = started;
    void started.child.exited.then(() => this.#ended(started));
  }

  async run(code: string): Promise<number> {
    this.#interrupts = 0;
    this.#state = "starting";
    try {
      if (this.#process === undefined) this.start();
      const current = this.#process;
      if (current === undefined || !await current.ready) return this.#noInterpreter(current);
      if (this.#interrupts > 0) {
        this.#note("Interrupted");
        return 0;
      }
      this.#state = "busy";
      const exitCode = await current.run(code);
      if (exitCode === undefined) return 0;
      this.#noteDeath(exitCode);
      return exitCode;
    } finally {
      this.#state = "idle";
    }
  }

  interrupt(): void {
    if (this.#state === "idle") return;
    this.#interrupts++;
    const current = this.#process;
    if (this.#state !== "busy" || current === undefined) return;
    current.child.signal(interruptSignal(this.#interrupts));
    const { interruptGraceMs } = this.#options;
    if (interruptGraceMs !== undefined && this.#interrupts === 1) current.killUnlessDone(interruptGraceMs);
  }

  input(text: string): void {
    this.#process?.answer(text);
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    await this.#process?.child.stop(graceMs);
  }

  /** The interpreter died, in a query or between two. One that worked is replaced at once, else the next query tries. */
  #ended(dead: DriverProcess): void {
    if (this.#process === dead) this.#process = undefined;
    dead.child.signal("SIGKILL"); // what it has left behind belongs to a state that is gone
    if (dead.wasReady) this.start();
  }

  #noInterpreter(tried: DriverProcess | undefined): number {
    const cause = tried?.child.failure?.message ?? "it ended before it was ready";
    this.#note(`Cannot start the ${this.#options.name} interpreter "${this.#options.file}": ${cause}`);
    return 127;
  }

  #noteDeath(exitCode: number): void {
    const how = exitCode < 0 ? `was ended by signal ${-exitCode}` : `ended with exit status ${exitCode}`;
    const memory = exitCode === -9 && this.#interrupts === 0 ? " (perhaps for want of memory)" : "";
    this.#note(`The ${this.#options.name} interpreter ${how}${memory}; its variables are lost, a new one takes over.`);
  }

  #note(text: string): void {
    this.#observer.onOutput("stderr", new TextEncoder().encode(`${text}\n`));
  }
}

/** One life of the driver. */
class DriverProcess {
  readonly child: Child;
  /** Whether it can take queries; resolves once that is known. */
  readonly ready: Promise<boolean>;
  wasReady = false;
  readonly #observer: QueryObserver;
  readonly #gate: OutputGate;
  readonly #events = new DriverFrameReader(MAX_EVENT_BYTES);
  readonly #scanners = new Map<OutputStream, MarkerScanner>();
  readonly #markers: Record<OutputStream, number> = { stdout: 0, stderr: 0 };
  #markersDue = 0;
  #becomeReady: (marker: Uint8Array) => void = () => {};
  #finish: (() => void) | undefined;
  #onMarker: (() => void) | undefined;
  #asking = false;

  constructor(options: InterpreterOptions, observer: QueryObserver) {
    this.#observer = observer;
    this.#gate = options.gate;
    this.child = new Child({
      ...options,
      onOutput: (stream, chunk) => this.#output(stream, chunk),
      onEvent: (chunk) => this.#takeEvents(chunk),
    });
    this.ready = new Promise((resolve) => {
      const late = setTimeout(() => this.child.signal("SIGKILL"), READY_LIMIT_MS);
      this.#becomeReady = (marker) => {
        clearTimeout(late);
        for (const stream of STREAMS) this.#scanners.set(stream, new MarkerScanner(marker));
        this.wasReady = true;
        resolve(true);
      };
      void this.child.exited.then(() => {
        clearTimeout(late);
        resolve(false);
      });
    });
  }

  /** `undefined` when the query has ended and all its output is through; the exit code if the interpreter died. */
  async run(code: string): Promise<number | undefined> {
    const finished = new Promise<undefined>((resolve) => this.#finish = () => resolve(undefined));
    this.child.write(encodeDriverFrame("R", new TextEncoder().encode(code)));
    const exitCode = await Promise.race([finished, this.child.exited]);
    this.#finish = undefined;
    this.#asking = false;
    if (exitCode === undefined) {
      await this.#outputComplete();
      return undefined;
    }
    this.child.signal("SIGKILL");
    await this.child.drained();
    for (const [stream, scanner] of this.#scanners) this.#give(stream, scanner.end());
    return exitCode;
  }

  answer(text: string): void {
    if (!this.#asking) return;
    this.#asking = false;
    this.child.write(encodeDriverFrame("I", new TextEncoder().encode(text)));
  }

  killUnlessDone(graceMs: number): void {
    const finish = this.#finish;
    const timer = setTimeout(() => {
      if (this.#finish === finish && finish !== undefined) this.child.signal("SIGKILL");
    }, graceMs);
    void this.child.exited.then(() => clearTimeout(timer));
  }

  #takeEvents(chunk: Uint8Array): void {
    try {
      for (const frame of this.#events.push(chunk)) this.#take(frame);
    } catch {
      this.child.signal("SIGKILL"); // user code wrote into our channel: there is no way to know what is meant
    }
  }

  #take({ kind, payload }: DriverFrame): void {
    if (kind === "Y" && !this.wasReady) {
      this.#becomeReady(payload);
    } else if (kind === "D") {
      this.#markersDue++;
      this.#finish?.();
    } else if (kind === "P") {
      this.#markersDue++;
      void this.#ask(payload[0] === 0x31);
    }
  }

  async #ask(isPassword: boolean): Promise<void> {
    const run = this.#finish;
    await this.#outputComplete(); // the prompt first (06 D-R10)
    if (this.#finish !== run || run === undefined) return; // interrupted meanwhile
    this.#asking = true;
    this.#observer.onWaitingInput({ is_password: isPassword });
  }

  /** Once everything that was written before the last event has been read. */
  async #outputComplete(): Promise<void> {
    const due = this.#markersDue;
    const waitedFrom = performance.now();
    for (;;) {
      const missing = STREAMS.some((stream) => this.#markers[stream] < due && this.child.isOpen(stream));
      if (!missing) return;
      const quietSince = Math.max(waitedFrom, this.child.lastOutputMs);
      if (!this.#gate.full && performance.now() - quietSince > MARKER_LIMIT_MS) return;
      await this.#nextMarker();
    }
  }

  /** Resolves at the next marker, and at the latest in time to look again whether the pipes are still open. */
  async #nextMarker(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#onMarker = resolve;
      timer = setTimeout(resolve, 100);
    });
    clearTimeout(timer);
  }

  #output(stream: OutputStream, chunk: Uint8Array): void {
    const scanner = this.#scanners.get(stream);
    if (scanner === undefined) return this.#give(stream, chunk);
    const pieces = scanner.push(chunk);
    for (const piece of pieces) this.#give(stream, piece);
    if (pieces.length === 1) return;
    this.#markers[stream] += pieces.length - 1;
    this.#onMarker?.();
  }

  #give(stream: OutputStream, chunk: Uint8Array): void {
    if (chunk.length > 0) this.#observer.onOutput(stream, chunk);
  }
}

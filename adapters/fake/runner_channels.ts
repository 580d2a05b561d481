import { RunnerUnavailable } from "../../domain/errors.ts";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { Log } from "../../src/ports/log.ts";
import type { RunnerChannel, RunnerChannels, RunnerEndpoint } from "../../src/ports/runner_channels.ts";
import { FaultPlan } from "./fault_plan.ts";

const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** What a scripted runner does with one command; it answers with {@linkcode FakeRunner.emit}. */
export type CommandHandler = (command: RunnerCommand, runner: FakeRunner) => void;

/** The program at the other end: takes commands once it listens, keeps messages until somebody takes them. */
export class FakeRunner {
  /** Every command it has taken, in order. */
  readonly commands: RunnerCommand[] = [];
  readonly #onCommand: CommandHandler;
  readonly #inbox: RunnerCommand[] = [];
  readonly #outbox: (RunnerMessage | "garbage")[] = [];
  #listening: boolean;
  #receiver: ((message: RunnerMessage | "garbage") => void) | undefined;

  constructor(onCommand: CommandHandler, listening: boolean) {
    this.#onCommand = onCommand;
    this.#listening = listening;
  }

  /** Starts to listen: what waits is delivered. */
  listen(): void {
    this.#listening = true;
    queueMicrotask(() => this.#deliver());
  }

  /** Stops listening, as a container that is being restarted. */
  stop(): void {
    this.#listening = false;
  }

  emit(...messages: readonly RunnerMessage[]): void {
    this.#outbox.push(...messages);
    queueMicrotask(() => this.#deliver());
  }

  /** Sends something that is no message of the protocol. */
  emitGarbage(): void {
    this.#outbox.push("garbage");
    queueMicrotask(() => this.#deliver());
  }

  /** Bytes of commands that wait because the runner does not listen. */
  get waitingBytes(): number {
    return this.#inbox.reduce((sum, command) => sum + sizeOf(command), 0);
  }

  /** For the channel: queues a command. */
  take(command: RunnerCommand): void {
    this.#inbox.push(command);
    queueMicrotask(() => this.#deliver());
  }

  /** For the channel: who takes the messages now; `undefined` makes them wait. */
  set receiver(receiver: ((message: RunnerMessage | "garbage") => void) | undefined) {
    this.#receiver = receiver;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    if (!this.#listening) return;
    for (let command = this.#inbox.shift(); command !== undefined; command = this.#inbox.shift()) {
      this.commands.push(command);
      this.#onCommand(command, this);
    }
    while (this.#receiver !== undefined && this.#outbox.length > 0) {
      const message = this.#outbox.shift();
      if (message !== undefined) this.#receiver(message);
    }
  }
}

/** {@linkcode RunnerChannels} in memory. Operations of the fault plan: `open`, `send`. */
export class FakeRunnerChannels implements RunnerChannels {
  readonly #log: Log;
  readonly #faults: FaultPlan;
  readonly #onCommand: CommandHandler;
  readonly #listening: boolean;
  readonly #runners = new Map<number, FakeRunner>();

  constructor(
    options: {
      readonly log: Log;
      readonly faults?: FaultPlan;
      /** Default: nothing is answered. */
      readonly onCommand?: CommandHandler;
      /** Whether new runners listen from the start. Default: true. */
      readonly listening?: boolean;
    },
  ) {
    this.#log = options.log;
    this.#faults = options.faults ?? new FaultPlan();
    this.#onCommand = options.onCommand ?? (() => {});
    this.#listening = options.listening ?? true;
  }

  /** The runner behind an endpoint; one per command port. */
  runner(endpoint: Pick<RunnerEndpoint, "commandPort">): FakeRunner {
    const known = this.#runners.get(endpoint.commandPort);
    if (known !== undefined) return known;
    const runner = new FakeRunner(this.#onCommand, this.#listening);
    this.#runners.set(endpoint.commandPort, runner);
    return runner;
  }

  open(endpoint: RunnerEndpoint, onMessage: (message: RunnerMessage) => void): RunnerChannel {
    this.#faults.next("open");
    return new FakeRunnerChannel(this.runner(endpoint), onMessage, this.#log, this.#faults);
  }
}

class FakeRunnerChannel implements RunnerChannel {
  readonly #runner: FakeRunner;
  readonly #receive: (message: RunnerMessage | "garbage") => void;
  readonly #faults: FaultPlan;
  #closed = false;

  constructor(runner: FakeRunner, onMessage: (message: RunnerMessage) => void, log: Log, faults: FaultPlan) {
    this.#runner = runner;
    this.#faults = faults;
    this.#receive = (message) => {
      if (message === "garbage") return log.warn("runner message left out");
      try {
        onMessage(message);
      } catch (err) {
        log.error("handling a runner message failed", { kind: message.kind, err });
      }
    };
    runner.receiver = this.#receive;
  }

  send(command: RunnerCommand): void {
    this.#faults.next("send");
    if (this.#closed) throw new RunnerUnavailable("the channel is closed");
    const waiting = this.#runner.waitingBytes;
    if (waiting > 0 && waiting + sizeOf(command) > MAX_WAITING_BYTES) {
      throw new RunnerUnavailable(`${waiting} bytes of commands wait already`);
    }
    this.#runner.take(command);
  }

  pause(): void {
    if (!this.#closed) this.#runner.receiver = undefined;
  }

  resume(): void {
    if (!this.#closed) this.#runner.receiver = this.#receive;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#runner.receiver = undefined;
  }
}

/** About what the command weighs on the wire. */
function sizeOf(command: RunnerCommand): number {
  if ("text" in command) return command.text.length;
  if ("command" in command) return command.command.length;
  return "code" in command ? command.code.length : 0;
}

import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { QueryEngine } from "./query_engine.ts";
import type { Shell } from "./shell.ts";

type Task = Extract<RunnerCommand, { kind: "code" | "clean" | "build" | "exec" }>;

export interface RunnerDeps {
  readonly send: (message: RunnerMessage) => void;
  readonly engine: QueryEngine;
  readonly shell: Shell;
  /** Monotonic clock when the runner started, s. */
  readonly startedAt: number;
  /** Tells an operator about a failure that is ours. */
  readonly note: (text: string) => void;
}

/**
 * Serves the commands of 06 §3: tasks one at a time in the order they came, everything else at once. Every task gives
 * exactly one end, whatever happens in it (06 §10).
 */
export class Runner {
  readonly #deps: RunnerDeps;
  #tasks: Promise<void> = Promise.resolve();
  #buildFailed = false;
  #stopping = false;

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  handle(command: RunnerCommand): void {
    if (this.#stopping) return;
    const { send, engine, shell, startedAt } = this.#deps;
    switch (command.kind) {
      case "code":
      case "clean":
      case "build":
      case "exec":
        this.#tasks = this.#tasks.then(() => this.#perform(command));
        return;
      case "status":
        return send({ kind: "status", startedAt });
      case "interrupt":
        engine.interrupt();
        return shell.interrupt();
      case "input":
        return engine.input(command.text);
      case "complete":
        return send({ kind: "completion", items: [] });
      default:
        return command satisfies never;
    }
  }

  /** Takes no more commands, ends what runs within `graceMs`, and resolves once the task in hand has told its end. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all([this.#deps.engine.stop(graceMs), this.#deps.shell.stop(graceMs)]);
    await this.#tasks;
  }

  async #perform(task: Task): Promise<void> {
    let exitCode: number;
    try {
      exitCode = this.#stopping ? -1 : await this.#run(task);
    } catch (err) {
      this.#deps.note(`task "${task.kind}" failed: ${err instanceof Error ? err.stack : err}`);
      exitCode = -1;
    }
    this.#deps.send({
      kind: task.kind === "code" || task.kind === "exec" ? "finished" : `${task.kind}-finished`,
      exitCode,
    });
  }

  async #run(task: Task): Promise<number> {
    if (task.kind === "code") return await this.#deps.engine.run(task.text);
    if (task.kind === "exec" && this.#buildFailed) {
      this.#buildFailed = false;
      return 127; // 06 §5.2
    }
    const exitCode = await this.#deps.shell.run(task.command);
    if (task.kind === "build") this.#buildFailed = exitCode !== 0;
    return exitCode;
  }
}

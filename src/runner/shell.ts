import { Child, type OutputGate, type OutputStream } from "./child_process.ts";
import { interruptSignal } from "./interrupt_policy.ts";

export interface ShellOptions {
  /** `/bin/sh`; whether it exists is looked at for every command, because users may install one. */
  readonly file: string;
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly gate: OutputGate;
  readonly onOutput: (stream: OutputStream, chunk: Uint8Array) => void;
}

/** Runs the commands of batch mode, one at a time (06 §5.2, §5.3). */
export class Shell {
  readonly #options: ShellOptions;
  #child: Child | undefined;
  #interrupts = 0;
  #stopped = false;

  constructor(options: ShellOptions) {
    this.#options = options;
  }

  /** Resolves with the exit code after all output was given. Never rejects. An empty command is skipped. */
  async run(command: string): Promise<number> {
    if (command === "") return 0;
    if (command === "*") return this.#refuse("Cannot find out by itself what to do: give the command in full");
    this.#interrupts = 0;
    const child = new Child({ ...this.#options, args: ["-c", command] });
    this.#child = child;
    if (this.#stopped) child.signal("SIGKILL");
    const exitCode = await child.exited;
    if (child.failure !== undefined) {
      return this.#refuse(`Cannot run a command: ${this.#options.file}: ${child.failure.message}`);
    }
    await child.drained();
    this.#child = undefined;
    return exitCode;
  }

  /** Interrupts the command that runs now, if any, with everything it started; more forcefully when repeated. */
  interrupt(): void {
    this.#child?.signal(interruptSignal(++this.#interrupts));
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    await this.#child?.stop(graceMs);
  }

  #refuse(reason: string): number {
    this.#child = undefined;
    this.#options.onOutput("stderr", new TextEncoder().encode(`${reason}\n`));
    return 127;
  }
}

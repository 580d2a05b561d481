/** What each command does. The agent is asked over a connection that is opened for the command and closed after it. */
import { AgentCalls } from "./agent_calls.ts";
import type { Caller } from "./agent_calls.ts";
import { creationConfig, type CreationOptions } from "./creation_config.ts";
import { runDemo } from "./demo.ts";
import { CommandFailed, EXIT } from "./failure.ts";
import { runCode } from "./run_code.ts";
import type { RunTerminal } from "./run_code.ts";

export interface CreateOptions {
  readonly image: string;
  readonly cpu: string;
  readonly mem: bigint;
  readonly shmem: bigint;
  readonly idleTimeout: number;
  readonly env: Readonly<Record<string, string>>;
  readonly label: Readonly<Record<string, string>>;
  readonly id?: string;
}

export interface RunOptions {
  readonly code?: string;
  readonly file?: string;
}

/** The world of the commands. */
export interface CommandTools {
  /** Opens a connection to the agent that the options name. */
  readonly connect: () => Caller & AsyncDisposable;
  readonly findImage: (name: string) => Promise<CreationOptions["image"]>;
  readonly terminal: RunTerminal;
  readonly print: (text: string) => void;
  readonly readStandardInput: () => Promise<string>;
  readonly readFile: (path: string) => Promise<string>;
  /** Milliseconds on a clock that never jumps. */
  readonly now: () => number;
  readonly newId: () => string;
  readonly pause: (ms: number) => Promise<void>;
  /** Calls `handle` for each Ctrl-C until disposed. */
  readonly onInterrupt: (handle: () => void) => Disposable;
  readonly signal: AbortSignal;
}

/** One attempt to reach an agent that may still be starting. */
const PING_ATTEMPT_MS = 2000;
const PING_PAUSE_MS = 100;

export class Commands {
  readonly #tools: CommandTools;
  /** What the process should end with when nothing failed. */
  exitCode = 0;

  constructor(tools: CommandTools) {
    this.#tools = tools;
  }

  async ping({ wait }: { readonly wait: number }): Promise<void> {
    const { now, pause, print } = this.#tools;
    const deadline = now() + wait * 1000;
    for (;;) {
      const startedAt = now();
      try {
        await this.#withAgent((agent) => agent.ping("hello", PING_ATTEMPT_MS));
        return print(`the agent answered in ${(now() - startedAt).toFixed(1)} ms\n`);
      } catch (error) {
        const mayCome = error instanceof CommandFailed && error.exitCode === EXIT.unreachable;
        if (!mayCome || now() >= deadline) throw error;
      }
      await pause(PING_PAUSE_MS);
    }
  }

  async create(options: CreateOptions): Promise<void> {
    const { findImage, newId, print } = this.#tools;
    const { ref, id, labels } = await findImage(options.image);
    const config = creationConfig({
      image: { ref, id, labels: { ...labels, ...options.label } },
      cpu: options.cpu,
      memBytes: options.mem,
      shmemBytes: options.shmem,
      idleTimeoutS: options.idleTimeout,
      environ: options.env,
    });
    const created = await this.#withAgent((agent) => agent.create(options.id ?? newId(), config));
    print(`${created.kernelId}\n`);
  }

  async run(kernelId: string, options: RunOptions): Promise<void> {
    const { newId, onInterrupt, terminal } = this.#tools;
    const code = await this.#codeOf(options);
    this.exitCode = await this.#withAgent(async (agent) => {
      using _ = onInterrupt(() => void agent.interrupt(kernelId).catch(() => {})); // the run itself reports a lost agent
      return await runCode(agent, { kernelId, runId: newId(), code }, terminal);
    });
  }

  async logs(kernelId: string): Promise<void> {
    this.#tools.print(await this.#withAgent((agent) => agent.logs(kernelId)));
  }

  async interrupt(kernelId: string): Promise<void> {
    await this.#withAgent((agent) => agent.interrupt(kernelId));
  }

  async destroy(kernelId: string, { reason }: { readonly reason: string }): Promise<void> {
    const statistics = await this.#withAgent((agent) => agent.destroy(kernelId, reason));
    this.#tools.print(`${JSON.stringify(statistics, undefined, 2)}\n`);
  }

  async demo(options: { readonly pythonImage: string; readonly typescriptImage: string }): Promise<void> {
    const pythonImage = await this.#tools.findImage(options.pythonImage);
    const typescriptImage = await this.#tools.findImage(options.typescriptImage);
    await this.#withAgent((agent) => runDemo(agent, { pythonImage, typescriptImage }, this.#tools));
  }

  async #withAgent<T>(use: (agent: AgentCalls) => Promise<T>): Promise<T> {
    await using connection = this.#tools.connect();
    return await use(new AgentCalls(connection, this.#tools.signal));
  }

  async #codeOf({ code, file }: RunOptions): Promise<string> {
    if (file !== undefined) return await this.#tools.readFile(file);
    return code === undefined || code === "-" ? await this.#tools.readStandardInput() : code;
  }
}

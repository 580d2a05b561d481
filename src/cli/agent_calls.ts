/** The agent's methods as this program uses them, over any connection that can call by name. */
import { type CreatedReply, readCreated, readLogs, readRun, type RunReply } from "./replies.ts";

/** One call of an RPC method; what the RPC client offers. */
export interface Caller {
  call(
    method: string,
    args: readonly unknown[],
    options: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<unknown>;
}

export interface ExecuteArguments {
  readonly kernelId: string;
  readonly runId: string;
  readonly mode: "query" | "input" | "continue";
  readonly code: string;
}

/** Pulling an image may be part of it. */
const CREATE_LIMIT_MS = 600_000;
const CALL_LIMIT_MS = 30_000;
/** Output is asked for this often while code runs. */
const FLUSH_S = 0.25;
/** The form of the console output: a list of items in order. */
const API_VERSION = 3;

export class AgentCalls {
  readonly #caller: Caller;
  readonly #signal: AbortSignal;

  constructor(caller: Caller, signal: AbortSignal) {
    this.#caller = caller;
    this.#signal = signal;
  }

  async ping(text: string, timeoutMs = CALL_LIMIT_MS): Promise<string> {
    return String(await this.#call("ping", [text], timeoutMs));
  }

  async create(kernelId: string, config: Record<string, unknown>): Promise<CreatedReply> {
    return readCreated(await this.#call("create_kernel", [kernelId, config], CREATE_LIMIT_MS));
  }

  async execute({ kernelId, runId, mode, code }: ExecuteArguments): Promise<RunReply> {
    return readRun(await this.#call("execute", [kernelId, API_VERSION, runId, mode, code, {}, FLUSH_S], CALL_LIMIT_MS));
  }

  async interrupt(kernelId: string): Promise<void> {
    await this.#call("interrupt_kernel", [kernelId], CALL_LIMIT_MS);
  }

  async logs(kernelId: string): Promise<string> {
    return readLogs(await this.#call("get_logs", [kernelId], CALL_LIMIT_MS));
  }

  /** The kernel's last statistics, if there are any. */
  async destroy(kernelId: string, reason: string): Promise<unknown> {
    return await this.#call("destroy_kernel", [kernelId, reason], CALL_LIMIT_MS);
  }

  #call(method: string, args: readonly unknown[], timeoutMs: number): Promise<unknown> {
    return this.#caller.call(method, args, { signal: this.#signal, timeoutMs });
  }
}

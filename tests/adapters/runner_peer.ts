import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import { decodeMessage, encodeCommand } from "../../adapters/runner/protocol.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { Log } from "../../src/ports/log.ts";
import type { MessageSocket } from "../../src/ports/message_sockets.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PATH = Deno.env.get("PATH") ?? "";
const LIMIT_MS = 20_000;

/** What one run gave. */
export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
  /** Every message of the run, its end included. */
  readonly messages: readonly RunnerMessage[];
}

/** Speaks the plain protocol to a runner, as an agent does. */
export class RunnerPeer implements AsyncDisposable {
  readonly #sockets: ZeroMqSockets;
  readonly #commands: MessageSocket;
  readonly #messages: MessageSocket;
  readonly #received: RunnerMessage[] = [];
  #wake: (() => void) | undefined;

  constructor(commandPort: number, messagePort: number) {
    const silent = () => {};
    const log: Log = { debug: silent, info: silent, warn: silent, error: silent };
    this.#sockets = new ZeroMqSockets({ log });
    this.#commands = this.#sockets.open("push", { lingerMs: 50, highWaterMark: 16 });
    this.#messages = this.#sockets.open("pull", { lingerMs: 50, highWaterMark: 16 });
    this.#messages.onMessage((frames) => {
      const message = decodeMessage(frames);
      if (message === undefined) return;
      this.#received.push(message);
      this.#wake?.();
    });
    this.#commands.connect(`tcp://127.0.0.1:${commandPort}`);
    this.#messages.connect(`tcp://127.0.0.1:${messagePort}`);
  }

  send(...commands: readonly RunnerCommand[]): void {
    for (const command of commands) this.#commands.send(encodeCommand(command));
  }

  sendFrames(frames: readonly Uint8Array[]): void {
    this.#commands.send(frames);
  }

  pause(): void {
    this.#messages.pause();
  }

  resume(): void {
    this.#messages.resume();
  }

  /** The next message. */
  async next(): Promise<RunnerMessage> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no message within ${LIMIT_MS} ms`)), LIMIT_MS);
    });
    try {
      for (;;) {
        const message = this.#received.shift();
        if (message !== undefined) return message;
        await Promise.race([late, new Promise<void>((resolve) => this.#wake = resolve)]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** All messages up to and with the first that fits. */
  async until(fits: (message: RunnerMessage) => boolean): Promise<RunnerMessage[]> {
    const messages: RunnerMessage[] = [];
    for (;;) {
      const message = await this.next();
      messages.push(message);
      if (fits(message)) return messages;
    }
  }

  /** All messages until the output of `stream` contains `text`. */
  async untilOutput(stream: "stdout" | "stderr", text: string): Promise<RunnerMessage[]> {
    let seen = "";
    return await this.until((message) => {
      if (message.kind === stream) seen += new TextDecoder().decode(message.data);
      return seen.includes(text);
    });
  }

  /** All messages up to the end of the run. */
  async end(): Promise<RunResult> {
    const messages = await this.until((message) => message.kind === "finished");
    const last = messages.at(-1);
    return {
      stdout: textOf(messages, "stdout"),
      stderr: textOf(messages, "stderr"),
      exitCode: last?.kind === "finished" ? last.exitCode : null,
      messages,
    };
  }

  /** One query, to its end. */
  async query(text: string): Promise<RunResult> {
    this.send({ kind: "code", text });
    return await this.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sockets[Symbol.asyncDispose]();
  }
}

function textOf(messages: readonly RunnerMessage[], stream: "stdout" | "stderr"): string {
  const chunks = messages.flatMap((message) => message.kind === stream ? [message.data] : []);
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** Builds the runner if it is not there, and gives its folder. */
export async function builtRunner(): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-A", `${ROOT}src/runner/build/build.ts`],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(`the runner cannot be built: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}

let lastPort = 20_000 + Deno.pid % 8_000;

/** Two ports that are free now, below those that the system gives out by itself; none is given twice. */
export function freePorts(): readonly [number, number] {
  return [freePort(), freePort()];
}

function freePort(): number {
  for (;;) {
    lastPort = lastPort >= 32_000 ? 20_000 : lastPort + 1;
    try {
      Deno.listen({ hostname: "127.0.0.1", port: lastPort }).close();
      return lastPort;
    } catch (err) {
      if (!(err instanceof Deno.errors.AddrInUse)) throw err;
    }
  }
}

/** The runner as a process of this host, without a container. */
export class HostRunner implements AsyncDisposable {
  readonly peer: RunnerPeer;
  readonly process: Deno.ChildProcess;
  readonly workFolder: string;

  private constructor(process: Deno.ChildProcess, peer: RunnerPeer, workFolder: string) {
    this.process = process;
    this.peer = peer;
    this.workFolder = workFolder;
  }

  static async start(
    folder: string,
    runtime: readonly string[],
    options: { environText?: string; environment?: Record<string, string> } = {},
  ): Promise<HostRunner> {
    const workFolder = await Deno.makeTempDir({ prefix: "runner_test_" });
    const config = `${workFolder}/.config`;
    await Deno.mkdir(config);
    if (options.environText !== undefined) await Deno.writeTextFile(`${config}/environ.txt`, options.environText);
    const [commandPort, messagePort] = freePorts();
    const flags = ["-A", "--no-config", "--cached-only", "--no-prompt", `${folder}/app.mjs`];
    const sockets = ["--host", "127.0.0.1", "--command-port", `${commandPort}`, "--message-port", `${messagePort}`];
    const places = ["--config", config, "--work", workFolder, "--runner", folder];
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", ...flags, ...sockets, ...places, ...runtime],
      clearEnv: true, // as in a container: nothing of whoever runs the tests
      env: { PATH, DENO_NO_UPDATE_CHECK: "1", DENO_DISABLE_NODE_SHIM: "1", ...options.environment },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return new HostRunner(process, new RunnerPeer(commandPort, messagePort), workFolder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGTERM");
    } catch {
      // the test has ended it
    }
    await this.process.status;
    await this.peer[Symbol.asyncDispose]();
    await Deno.remove(this.workFolder, { recursive: true });
  }
}

/**
 * The program inside a kernel's container: takes commands on port 2000, sends what comes of them on port 2001 (06), and
 * runs user code as its own children. The bundle of this file, its interpreter drivers and a Deno that brings its own
 * libraries make up the folder that the agent mounts at `/opt/backend.ai`, so that any Linux image will do.
 */
import { readFileSync } from "node:fs";
import { decodeCommand } from "../../adapters/runner/protocol.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import type { RunnerMessage } from "../../domain/kernel/runner_message.ts";
import { ConsoleCopy } from "./console_copy.ts";
import { userEnvironment } from "./environment.ts";
import { firstExecutable, queryEngine } from "./languages.ts";
import { parseOptions, type RunnerOptions } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { NoQueryEngine, type QueryEngine, type QueryObserver } from "./query_engine.ts";
import { Runner } from "./runner.ts";
import { Shell } from "./shell.ts";

/** Messages that the library holds per direction: bounds what a stuck agent costs the container's memory. */
const HIGH_WATER_MARK = 16;
const LINGER_MS = 200;
const MAX_COMMAND_BYTES = 256 * 1024 * 1024;
/** SIGTERM to SIGKILL for children at the end; the container is given little more. */
const STOP_GRACE_MS = 1_000;
const FLUSH_LIMIT_MS = 500;

async function main(): Promise<void> {
  const startedAt = performance.now() / 1000;
  const options = parseOptions(Deno.args);
  const terminal = new ConsoleCopy({ stdout: Deno.stdout, stderr: Deno.stderr }, () => performance.now());
  keepServing(terminal);

  const sockets = new ZeroMqSockets({ log: terminalLog(terminal) });
  const messages = sockets.open("push", { lingerMs: LINGER_MS, highWaterMark: HIGH_WATER_MARK });
  const outbox = new Outbox(messages);
  const observer = observe(outbox, terminal);
  const environment = userEnvironment({
    own: Deno.env.toObject(),
    environText: readText(`${options.configFolder}/environ.txt`),
    home: options.workFolder,
    shell: firstExecutable(["/bin/bash", "/bin/ash", "/bin/sh"], ""),
  });
  const cwd = enterWorkFolder(options.workFolder, terminal);

  const engine = makeEngine({ options, environment, outbox, observer, cwd, terminal });
  const shell = new Shell({ file: "/bin/sh", cwd, environment, gate: outbox, onOutput: observer.onOutput });
  const send = (message: RunnerMessage) => outbox.send(message);
  const runner = new Runner({ send, engine, shell, startedAt, note: (text) => terminal.note(text) });

  const commands = sockets.open("pull", {
    lingerMs: 0,
    highWaterMark: HIGH_WATER_MARK,
    maxMessageBytes: MAX_COMMAND_BYTES,
  });
  commands.onMessage((frames) => {
    const command = decodeCommand(frames);
    if (command !== undefined) runner.handle(command);
  });
  await Promise.all([
    commands.bind(`tcp://${options.host}:${options.commandPort}`),
    messages.bind(`tcp://${options.host}:${options.messagePort}`),
  ]);
  engine.start();
  terminal.note(`serving ${options.runtimeType} on ports ${options.commandPort} and ${options.messagePort}`);

  await (options.rehearse ? engine.run("1") : endSignal());
  commands.close();
  await runner.stop(STOP_GRACE_MS);
  await outbox.flush(FLUSH_LIMIT_MS);
  messages.close();
  // What the library has taken over last still has to reach the network (06 §1.4).
  await new Promise((resolve) => setTimeout(resolve, 100));
  Deno.exit(0);
}

/** Warnings and errors go to the terminal; the rest is not worth its space there. */
function terminalLog(terminal: ConsoleCopy) {
  const note = (message: string, fields?: Readonly<Record<string, unknown>>) =>
    terminal.note(`${message} ${Deno.inspect(fields ?? "")}`);
  return { debug: () => {}, info: () => {}, warn: note, error: note };
}

/** Output goes to the agent and, as far as it fits, to the container's terminal. */
function observe(outbox: Outbox, terminal: ConsoleCopy): QueryObserver {
  return {
    onOutput(stream, chunk) {
      outbox.send({ kind: stream, data: chunk });
      terminal.copy(stream, chunk);
    },
    onWaitingInput(options) {
      outbox.send({ kind: "waiting-input", options: { ...options } });
    },
  };
}

interface EngineParts {
  readonly options: RunnerOptions;
  readonly environment: Readonly<Record<string, string>>;
  readonly outbox: Outbox;
  readonly observer: QueryObserver;
  readonly cwd: string;
  readonly terminal: ConsoleCopy;
}

/** A language that cannot be set up must not keep the rest from being served (06 D-R11). */
function makeEngine(parts: EngineParts): QueryEngine {
  const { options, environment, outbox, observer, cwd, terminal } = parts;
  try {
    return queryEngine({ ...options, environment, gate: outbox, observer, workFolder: cwd });
  } catch (err) {
    terminal.note(`setting up ${options.runtimeType} failed: ${err}`);
    return new NoQueryEngine(observer, `Cannot run queries: setting up "${options.runtimeType}" failed`);
  }
}

/** A fault of ours in one place is told, and everything else goes on (06 D-R11). */
function keepServing(terminal: ConsoleCopy): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    terminal.note(`unexpected: ${event.reason instanceof Error ? event.reason.stack : event.reason}`);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    terminal.note(`unexpected: ${event.error instanceof Error ? event.error.stack : event.message}`);
  });
}

function enterWorkFolder(folder: string, terminal: ConsoleCopy): string {
  try {
    Deno.chdir(folder);
    return folder;
  } catch (err) {
    terminal.note(`cannot enter ${folder}: ${err instanceof Error ? err.message : err}`);
    return Deno.cwd();
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf-8");
  } catch {
    return "";
  }
}

/** Resolves at the first SIGINT (the container's stop signal) or SIGTERM. */
function endSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => resolve());
  });
}

await main();

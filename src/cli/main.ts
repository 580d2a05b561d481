/** The command line as a program: connects the commands to the agent, the engine and the terminal; exit code. */
import { type Command, CommanderError } from "commander";
import { AgentError } from "../../domain/errors.ts";
import { Commands, type CommandTools } from "./commands.ts";
import { connectAgent } from "./connection.ts";
import { CommandFailed, EXIT } from "./failure.ts";
import { findLocalImage } from "./local_image.ts";
import { buildProgram } from "./program.ts";
import { ProcessTerminal, readStandardInput, writeError, writeOut } from "./terminal.ts";

const ENGINE_LIMIT_MS = 30_000;
const DEFAULT_ENGINES = ["/run/docker.sock", "/var/run/docker.sock"];

/** The engine that `DOCKER_HOST` names, else the socket that exists. */
function engineAddress(): string {
  const named = Deno.env.get("DOCKER_HOST");
  if (named !== undefined && named !== "") return named;
  return `unix://${DEFAULT_ENGINES.find(exists) ?? DEFAULT_ENGINES[0]}`;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function readCode(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new CommandFailed(`cannot read "${path}": ${cause instanceof Error ? cause.message : cause}`, EXIT.usage, {
      cause,
    });
  }
}

/** The first Ctrl-C is for the code that runs, the second ends this program. */
function onInterrupt(handle: () => void): Disposable {
  let count = 0;
  const listener = () => ++count === 1 ? handle() : Deno.exit(EXIT.interrupted);
  Deno.addSignalListener("SIGINT", listener);
  return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGINT", listener) };
}

/** @param agent the address, known once the options have been read */
function processTools(agent: () => string): CommandTools {
  return {
    connect: () => connectAgent(agent()),
    findImage: (name) => findLocalImage(name, engineAddress(), AbortSignal.timeout(ENGINE_LIMIT_MS)),
    terminal: new ProcessTerminal(),
    print: writeOut,
    readStandardInput,
    readFile: readCode,
    now: () => performance.now(),
    newId: () => crypto.randomUUID(),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    onInterrupt,
    signal: new AbortController().signal,
  };
}

/** What the process should end with after `error`; prints it as one line if it is meant for people. */
function reportFailure(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage; // has been printed
  const timedOut = error instanceof DOMException && error.name === "TimeoutError";
  if (!(error instanceof CommandFailed) && !(error instanceof AgentError) && !timedOut) throw error;
  writeError(`error: ${error.message}\n`);
  return timedOut ? EXIT.unreachable : error instanceof CommandFailed ? error.exitCode : EXIT.refused;
}

async function main(): Promise<number> {
  const commands = new Commands(processTools(() => String(program.opts()["agent"])));
  const program: Command = buildProgram(commands).exitOverride();
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync(Deno.args, { from: "user" });
    return commands.exitCode;
  } catch (error) {
    return reportFailure(error);
  }
}

Deno.exit(await main());

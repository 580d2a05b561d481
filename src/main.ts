/**
 * The agent as a program: command line, configuration file, signals, exit code.
 * SIGINT ends the agent and leaves the kernels running; SIGTERM ends the kernels as well. Source: 05 §1, §4.
 */
import { parseArgs } from "node:util";
import { accountIds, startChecks } from "../config/checks.ts";
import { ConfigurationError } from "../config/errors.ts";
import type { Surroundings } from "../config/field.ts";
import { withoutSecrets } from "../config/redact.ts";
import { candidatePaths, fileNotFound, loadConfig, type LoadedConfig } from "../config/load.ts";
import { AgentError } from "../domain/errors.ts";
import { composeAgent, composeLog } from "./compose.ts";
import type { Log } from "./ports/log.ts";

const HELP = `Usage: backendai-agent [-f PATH] [--debug] [--standalone] [--help]

  -f, --config-path, --config PATH   the configuration file; without it BACKEND_CONFIG_FILE, else the first of
                                     ./agent.toml, ~/.config/backend.ai/agent.toml, /etc/backend.ai/agent.toml
      --debug                        log everything
      --standalone                   serve without etcd, Redis and manager; needs no configuration file
  -h, --help                         this text

SIGINT (Ctrl-C) ends the agent and leaves kernels running, SIGTERM ends them too.
`;

interface Flags {
  readonly path: string | undefined;
  readonly debug: boolean;
  readonly standalone: boolean;
  readonly help: boolean;
}

/** @throws {ConfigurationError} for options that do not exist. */
function parseFlags(args: readonly string[]): Flags {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        "config-path": { type: "string", short: "f" },
        config: { type: "string" },
        debug: { type: "boolean", default: false },
        standalone: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const { debug, standalone, help } = values;
    return { path: values["config-path"] ?? values.config, debug, standalone, help };
  } catch (error) {
    throw new ConfigurationError(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
  }
}

function surroundings(): Surroundings {
  const environment = Deno.env.toObject();
  return {
    cwd: Deno.cwd(),
    home: environment["HOME"],
    uid: Deno.uid() ?? 0,
    environment,
    userIds: accountIds(readIfPresent("/etc/passwd") ?? ""),
    groupIds: accountIds(readIfPresent("/etc/group") ?? ""),
  };
}

function readIfPresent(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

function readConfig(flags: Flags): LoadedConfig {
  const around = surroundings();
  const candidates = candidatePaths(flags.path, around);
  for (const path of candidates) {
    const text = readIfPresent(path);
    if (text !== undefined) return loadConfig({ file: { path, text }, flags, surroundings: around });
  }
  const named = flags.path !== undefined || around.environment["BACKEND_CONFIG_FILE"] !== undefined;
  if (!flags.standalone || named) throw fileNotFound(candidates);
  return loadConfig({ flags, surroundings: around });
}

/** A fault that nobody waits for, ours or a library's, is told and ends nothing: kernels depend on this process. */
function keepServing(log: Log): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("unexpected failure: a bug", { error: event.reason });
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    log.error("unexpected failure: a bug", { error: event.error ?? event.message });
  });
}

/** Resolves with the first of the two signals; later ones are ignored while the agent stops. */
function stopSignal(): Promise<"SIGINT" | "SIGTERM"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => resolve(signal));
  });
}

/** Writes the process id for init systems; returns what removes it again. Source: 05 §4.3. */
function writePidFile(path: string): Disposable {
  if (path === "" || path === "/dev/null") return { [Symbol.dispose]: () => {} };
  Deno.writeTextFileSync(path, String(Deno.pid));
  return { [Symbol.dispose]: () => Deno.statSync(path).isFile && Deno.removeSync(path) };
}

async function run(flags: Flags): Promise<number> {
  const { config, warnings } = readConfig(flags);
  const corePattern = readIfPresent("/proc/sys/kernel/core_pattern");
  startChecks(config, { uid: Deno.uid() ?? 0, os: Deno.build.os, corePattern });
  using _pidFile = writePidFile(config.agent.pidFile);
  const log = composeLog(config);
  keepServing(log);
  for (const warning of warnings) log.warn(warning);
  if (config.debug.enabled) log.debug("configuration", { config: withoutSecrets(config) });

  const stopped = stopSignal();
  const starting = new AbortController();
  void stopped.then((signal) => starting.abort(new DOMException(`stopped by ${signal}`, "AbortError")));
  await using resources = new AsyncDisposableStack();
  try {
    const agent = await composeAgent({ config, standalone: flags.standalone, log, resources }, starting.signal);
    await agent.start(starting.signal);
    await agent.stop({ endKernels: await stopped === "SIGTERM" });
    return 0;
  } catch (error) {
    if (starting.signal.aborted) return 0;
    log.error("agent cannot start", { error });
    return 1;
  }
}

/** Ends the process: a library's forgotten timer must not keep it. */
async function main(): Promise<never> {
  let exitCode: number;
  try {
    const flags = parseFlags(Deno.args);
    if (flags.help) await Deno.stdout.write(new TextEncoder().encode(HELP));
    exitCode = flags.help ? 0 : await run(flags);
  } catch (error) {
    if (!(error instanceof ConfigurationError) && !(error instanceof AgentError)) throw error;
    await Deno.stderr.write(new TextEncoder().encode(`${error.name}: ${error.message}\nAborted!\n`));
    exitCode = 1;
  }
  Deno.exit(exitCode);
}

await main();

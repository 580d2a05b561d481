/** From file text, environment and flags to a configuration. Reads nothing itself. Source: 05 §1, §2, §4.1. */
import { applyEnvironment, type Origins } from "./environment.ts";
import { ConfigurationError, type Problem } from "./errors.ts";
import type { Surroundings } from "./field.ts";
import { readTree } from "./read.ts";
import { type AgentConfig, defaultStateDir, SCHEMA } from "./schema.ts";
import { lineOf, parseToml, type TomlTable } from "./toml.ts";
import { absolutePath, isTable } from "./values.ts";

export interface LoadRequest {
  /** The file found by {@linkcode candidatePaths}; absent only for a standalone agent. */
  readonly file?: { readonly path: string; readonly text: string } | undefined;
  readonly flags: { readonly debug: boolean; readonly standalone: boolean };
  readonly surroundings: Surroundings;
}

export interface LoadedConfig {
  readonly config: AgentConfig;
  /** Sentences for the log, in the order of the file's sections. */
  readonly warnings: readonly string[];
}

/**
 * Where the configuration file may be, best first: the first that exists is taken. With `-f` or `BACKEND_CONFIG_FILE`
 * there is one candidate, and it has to exist.
 */
export function candidatePaths(flagPath: string | undefined, surroundings: Surroundings): readonly string[] {
  const { environment, home } = surroundings;
  const named = flagPath ?? environment["BACKEND_CONFIG_FILE"];
  if (named !== undefined) return [absolutePath(named, surroundings)];
  const places = [
    "./agent.toml",
    ...(home === undefined ? [] : ["~/.config/backend.ai/agent.toml"]),
    "/etc/backend.ai/agent.toml",
  ];
  return places.map((place) => absolutePath(place, surroundings));
}

/** None of the candidates could be read (05-D1). */
export function fileNotFound(searched: readonly string[], options?: ErrorOptions): ConfigurationError {
  return new ConfigurationError(`Could not read config from: ${searched.join(", ")}`, [], options);
}

/** @throws {ConfigurationError} naming every key that is wrong. */
export function loadConfig({ file, flags, surroundings }: LoadRequest): LoadedConfig {
  const tree = file === undefined ? {} : parseToml(file.text, file.path);
  const origins: Origins = new Map();
  applyEnvironment(tree, SCHEMA, { environment: surroundings.environment, origins, standalone: flags.standalone });
  if (flags.debug) applyDebugFlag(tree, origins);
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const config = readTree(SCHEMA, tree, {
    surroundings,
    standaloneStateDir: flags.standalone ? stateDirOf(tree, surroundings) : undefined,
    origin: (path) => originOf(path, origins, file),
    problems,
    warnings,
  });
  if (problems.length > 0) throw new ConfigurationError("Validation of agent configuration has failed:", problems);
  checkRules(config, warnings);
  return { config, warnings };
}

/** The configuration of `--standalone` without any file. */
export function standaloneDefaults(surroundings: Surroundings): AgentConfig {
  return loadConfig({ flags: { debug: false, standalone: true }, surroundings }).config;
}

/** `--debug` wins over file and environment. */
function applyDebugFlag(tree: TomlTable, origins: Origins): void {
  const set = (value: unknown, ...path: string[]) => {
    let table = tree;
    for (const key of path.slice(0, -1)) {
      const inner = table[key] ?? {};
      if (!isTable(inner)) return; // not a table: the reading will say so
      table[key] = inner;
      table = inner;
    }
    table[path.at(-1) ?? ""] = value;
    origins.set(path.join("."), "option --debug");
  };
  set(true, "debug", "enabled");
  set("DEBUG", "logging", "level");
  set("DEBUG", "logging", "pkg-ns", "ai.backend");
}

/** Needed before the other keys are read: defaults of a standalone agent lie below it. */
function stateDirOf(tree: TomlTable, surroundings: Surroundings): string {
  const agent = tree["agent"];
  const given = isTable(agent) ? agent["state-dir"] : undefined;
  return typeof given === "string" && given !== "" ? absolutePath(given, surroundings) : defaultStateDir(surroundings);
}

function originOf(path: readonly string[], origins: Origins, file: LoadRequest["file"]): string | undefined {
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(path.slice(0, length).join("."));
    if (origin !== undefined) return origin;
  }
  const line = file === undefined ? undefined : lineOf(file.text, path);
  return file === undefined || line === undefined ? undefined : `${file.path}:${line}`;
}

/** Rules that concern more than one key, or a meaning. */
function checkRules(config: AgentConfig, warnings: string[]): void {
  const { agent, container, logging } = config;
  if (agent.mode !== "docker") {
    throw new ConfigurationError('Only the agent mode "docker" is available.');
  }
  if (isUnreachableLiteral(agent.rpcListenAddr.host)) {
    throw new ConfigurationError("Cannot use link-local or unspecified IP address as the RPC listening host.");
  }
  for (const driver of ["file", "logstash"] as const) {
    if (!logging.drivers.includes(driver)) continue;
    if (logging[driver] === null) throw new ConfigurationError(`${driver} driver is activated but no config given.`);
  }
  if (container.sandboxType === "jail") {
    warnings.push('container.sandbox-type: "jail" is not available; "docker" is used');
  }
  if (container.scratchType === "memory") {
    warnings.push('container.scratch-type: "memory" is not available yet; "hostdir" is used');
  }
}

/** Source: 05 §4.1. */
function isUnreachableLiteral(host: string): boolean {
  return /^0+(\.0+){3}$|^[0:]+$|^169\.254\.|^fe[89ab][0-9a-f]:/i.test(host) && host !== "";
}

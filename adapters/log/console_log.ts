import {
  configureSync,
  getLogger,
  type Logger,
  type LoggerConfig,
  type LogLevel,
  type LogRecord,
  resetSync,
} from "@logtape/logtape";
import type { LoggingConfig, LogLevelName } from "../../config/schema.ts";
import type { Log, LogFields } from "../../src/ports/log.ts";
import { formatRecord, type LevelName, type TextStyle } from "./format.ts";
import { type LogOutput, stderrOutput } from "./stderr.ts";

/** The agent's loggers are below `ai.backend`, which is how `logging.pkg-ns` names them. */
const AGENT_LOGGER = "ai.backend.agent";

/** The library copies the properties of a record, and fails if that does: the fields travel as one property. */
type FieldsProperty = { readonly fields: LogFields };

const LEVELS: Readonly<Record<LogLevelName, LogLevel>> = {
  NOTSET: "trace",
  DEBUG: "debug",
  INFO: "info",
  WARNING: "warning",
  ERROR: "error",
  CRITICAL: "fatal",
};
const ORDER = Object.values(LEVELS);
const NAMES: Readonly<Record<LogLevel, LevelName>> = {
  trace: "DEBUG",
  debug: "DEBUG",
  info: "INFO",
  warning: "WARNING",
  error: "ERROR",
  fatal: "CRITICAL",
};

/**
 * {@linkcode Log} on the console. The library behind it keeps one configuration per process: opening another one
 * replaces it, and disposal silences every logger.
 */
export class ConsoleLog implements Log, Disposable {
  readonly #logger: Logger;

  constructor(config: LoggingConfig, output: LogOutput = stderrOutput(), name = AGENT_LOGGER) {
    configureSync({
      reset: true,
      sinks: { console: (record) => writeRecord(record, config, output) },
      loggers: [...loggers(config), { category: ["logtape", "meta"], lowestLevel: "error", parentSinks: "override" }],
    });
    this.#logger = getLogger(name.split("."));
    for (const driver of new Set(config.drivers)) {
      if (driver !== "console") this.warn("log driver is not available yet; using the console", { driver });
    }
  }

  debug(message: string, fields: LogFields = {}): void {
    this.#logger.debug(message, { fields });
  }

  info(message: string, fields: LogFields = {}): void {
    this.#logger.info(message, { fields });
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#logger.warn(message, { fields });
  }

  error(message: string, fields: LogFields = {}): void {
    this.#logger.error(message, { fields });
  }

  [Symbol.dispose](): void {
    resetSync();
  }
}

function writeRecord(record: LogRecord, { console }: LoggingConfig, output: LogOutput): void {
  const { timestamp: timeMs, level, category, rawMessage, properties } = record;
  const { fields } = properties as FieldsProperty; // ConsoleLog is the only one who logs
  const style: TextStyle = {
    format: console.format,
    colored: console.colored && output.isTerminal,
    pid: output.pid,
  };
  const message = String(rawMessage);
  try {
    output.write(formatRecord({ timeMs, level: NAMES[level], logger: category.join("."), message, fields }, style));
  } catch {
    // A closed or full output loses the record; the agent goes on
  }
}

/**
 * Every entry of `pkg-ns` is a logger of its own that does not hand on to its parents; the empty name is the root.
 * The stricter of its level and the general one counts. Source: 05 §5.1.
 */
function loggers({ level, pkgNs }: LoggingConfig): LoggerConfig<"console", never>[] {
  const named = new Map(pkgNs);
  if (!named.has("")) named.set("", level);
  return [...named].map(([name, own]) => ({
    category: name === "" ? [] : name.split("."),
    lowestLevel: stricter(level, own),
    sinks: ["console"],
    parentSinks: "override",
  }));
}

function stricter(a: LogLevelName, b: LogLevelName): LogLevel {
  return ORDER.indexOf(LEVELS[a]) > ORDER.indexOf(LEVELS[b]) ? LEVELS[a] : LEVELS[b];
}

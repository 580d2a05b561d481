import { configureSync, getLogger, type Logger, type LoggerConfig, type LogLevel, resetSync } from "@logtape/logtape";
import type { LoggingConfig, LogLevelName } from "../../config/schema.ts";
import type { Log, LogFields } from "../../src/ports/log.ts";
import { formatRecord, type LevelName, type TextStyle } from "./format.ts";

/** Where the text goes. */
export interface LogOutput {
  /** May throw; the record is then lost. */
  write(text: string): void;
  readonly isTerminal: boolean;
  readonly pid: number;
}

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
 * The process's logging. The library behind it keeps one configuration per process: opening again replaces it, and
 * disposal silences every logger.
 */
export class Logging implements Disposable {
  constructor(config: LoggingConfig, output: LogOutput) {
    const style: TextStyle = {
      format: config.console.format,
      colored: config.console.colored && output.isTerminal,
      pid: output.pid,
    };
    configureSync({
      reset: true,
      sinks: {
        console: ({ timestamp, level, category, rawMessage, properties }) => {
          const fields = (properties as FieldsProperty).fields; // LogTapeLog is the only caller
          const record = { timeMs: timestamp, level: NAMES[level], logger: category.join("."), fields };
          const text = formatRecord({ ...record, message: String(rawMessage) }, style);
          try {
            output.write(text);
          } catch {
            // A closed or full output loses the record; the agent goes on
          }
        },
      },
      loggers: [...loggers(config), { category: ["logtape", "meta"], lowestLevel: "error", parentSinks: "override" }],
    });
    this.#warnUnavailable(config);
  }

  /** @param name dotted, as `logging.pkg-ns` has it */
  log(name: string): Log {
    return new LogTapeLog(getLogger(name.split(".")));
  }

  [Symbol.dispose](): void {
    resetSync();
  }

  #warnUnavailable({ drivers }: LoggingConfig): void {
    for (const driver of new Set(drivers)) {
      if (driver === "console") continue;
      this.log("ai.backend.agent").warn("log driver is not available yet; using the console", { driver });
    }
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

/** {@linkcode Log} over one logger of the library, which never throws into its caller. */
class LogTapeLog implements Log {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
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
}

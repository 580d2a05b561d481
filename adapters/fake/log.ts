import type { Log, LogFields } from "../../src/ports/log.ts";

export interface LogEntry {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/** {@linkcode Log} that keeps what it is told. */
export class MemoryLog implements Log {
  readonly entries: LogEntry[] = [];

  debug(message: string, fields: LogFields = {}): void {
    this.entries.push({ level: "debug", message, fields });
  }

  info(message: string, fields: LogFields = {}): void {
    this.entries.push({ level: "info", message, fields });
  }

  warn(message: string, fields: LogFields = {}): void {
    this.entries.push({ level: "warn", message, fields });
  }

  error(message: string, fields: LogFields = {}): void {
    this.entries.push({ level: "error", message, fields });
  }

  /** Messages of one level, in order. */
  messages(level: LogEntry["level"]): readonly string[] {
    return this.entries.filter((entry) => entry.level === level).map(({ message }) => message);
  }
}

/** A log record as text for people. Pure. Source: 05 §5.2. */
import { AgentError } from "../../domain/errors.ts";
import type { LogFields } from "../../src/ports/log.ts";

export type LevelName = "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL";

export interface TextRecord {
  /** ms since the epoch. */
  readonly timeMs: number;
  readonly level: LevelName;
  readonly logger: string;
  readonly message: string;
  readonly fields: LogFields;
}

export interface TextStyle {
  readonly format: "simple" | "verbose";
  readonly colored: boolean;
  readonly pid: number;
}

const COLORS: Readonly<Record<LevelName, string>> = {
  DEBUG: "\x1b[32m",
  INFO: "\x1b[36m",
  WARNING: "\x1b[33m",
  ERROR: "\x1b[31m",
  CRITICAL: "\x1b[1;31m",
};
const RESET = "\x1b[0m";
const LONGEST_VALUE = 2_000;
/** Deeper causes are left out; a chain may be a circle. */
const DEEPEST_CAUSE = 10;

/** One line of text, and further indented lines for each error among the fields. Ends with a newline. Never throws. */
export function formatRecord(record: TextRecord, style: TextStyle): string {
  const level = style.colored ? `${COLORS[record.level]}${record.level}${RESET}` : record.level;
  const head = style.format === "simple"
    ? level
    : `${new Date(record.timeMs).toISOString()} ${level} ${record.logger} [${style.pid}]`;
  const parts = [head, printable(record.message)];
  const errors: string[] = [];
  for (const key of Object.keys(record.fields)) {
    const value = readField(record.fields, key);
    if (value instanceof Error) errors.push(...errorLines(`${printable(key)}: `, value, 1));
    else if (value !== undefined) parts.push(`${printable(key)}=${valueText(value)}`);
  }
  return [parts.join(" "), ...errors, ""].join("\n");
}

function readField(fields: LogFields, key: string): unknown {
  try {
    return fields[key];
  } catch {
    return "(unreadable)";
  }
}

/** Bare where that is unambiguous, else JSON, so that a value never makes a line of its own. */
function valueText(value: unknown): string {
  try {
    if (typeof value === "string" && /^[\p{L}\p{N}_.,:;/@+%#~()*-]+$/u.test(value)) return shortened(value);
    return shortened(printable(JSON.stringify(value, jsonValue) ?? String(value)));
  } catch {
    return "(unprintable)"; // circular, or a getter that throws
  }
}

function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return value;
}

/** A failure with a meaning is its message; anything else is a bug and shows where it was thrown. */
function errorLines(label: string, error: Error, depth: number): string[] {
  const text = error instanceof AgentError ? `${error.name}: ${error.message}` : error.stack ?? String(error);
  const indent = "  ".repeat(depth);
  const lines = shortened(text).split("\n").map((line, index) =>
    `${indent}${index === 0 ? label : "  "}${printable(line)}`
  );
  return [...lines, ...causesOf(error).flatMap((cause) => causeLines(cause, depth))];
}

function causeLines(cause: unknown, depth: number): string[] {
  if (depth >= DEEPEST_CAUSE) return [];
  if (cause instanceof Error) return errorLines("caused by: ", cause, depth + 1);
  return [`${"  ".repeat(depth + 1)}caused by: ${valueText(cause)}`];
}

/** Also the errors of `Promise.any` and those that a disposal brought on top of another. */
function causesOf(error: Error): readonly unknown[] {
  const causes: unknown[] = error.cause === undefined ? [] : [error.cause];
  if (error instanceof AggregateError) causes.push(...error.errors);
  if (error instanceof SuppressedError) causes.push(error.error, error.suppressed);
  return causes;
}

/** Control characters would move the cursor of the terminal that shows the log. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- they are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function shortened(text: string): string {
  return text.length <= LONGEST_VALUE ? text : `${text.slice(0, LONGEST_VALUE)}…`;
}

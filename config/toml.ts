/** The only file that knows the TOML library. */
import { parse, TomlError } from "smol-toml";
import { ConfigurationError } from "./errors.ts";
import { isTable } from "./values.ts";

export type TomlTable = Record<string, unknown>;

/** @throws {ConfigurationError} naming line and column of what is no TOML. */
export function parseToml(source: string, path: string): TomlTable {
  try {
    return plain(parse(source));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The library appends an excerpt, which may show a password
    const reason = error.message.split("\n")[0]?.replace(/^Invalid TOML document: /, "") ?? "";
    throw new ConfigurationError(`${path}:${error.line}:${error.column}: not valid TOML: ${reason}`, [], {
      cause: error,
    });
  }
}

/** Tables without a prototype become ordinary objects, so that one test tells tables from other values. */
function plain(table: object): TomlTable {
  const entries = Object.entries(table).map(([key, value]) => [key, isBareTable(value) ? plain(value) : value]);
  return Object.fromEntries(entries);
}

function isBareTable(value: unknown): value is object {
  return isTable(value) || (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null);
}

/**
 * The line on which a key is set, 1 for the first; of the enclosing key or table if the key itself is inside an inline
 * table; undefined if it is not in the file. A scan for messages only: text that looks like a key inside a multi-line
 * string can mislead it.
 */
export function lineOf(source: string, path: readonly string[]): number | undefined {
  const lines = keyLines(source);
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(JSON.stringify(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return undefined;
}

function keyLines(source: string): Map<string, number> {
  const lines = new Map<string, number>();
  let table: string[] = [];
  for (const [index, line] of source.split("\n").entries()) {
    const header = /^\s*\[([^[\]]+)\]\s*(#.*)?$/.exec(line)?.[1];
    const key = /^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=/.exec(line)?.[1];
    if (header !== undefined) table = splitKey(header);
    const path = header !== undefined ? table : key !== undefined ? [...table, ...splitKey(key)] : undefined;
    if (path !== undefined && !lines.has(JSON.stringify(path))) lines.set(JSON.stringify(path), index + 1);
  }
  return lines;
}

function splitKey(key: string): string[] {
  return [...key.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map(([, double, single, bare]) =>
    double ?? single ?? bare ?? ""
  );
}

/** Parsers of configuration values. Source of the accepted forms: 05 §3. */
import { InvalidField } from "../domain/errors.ts";
import { type AgentId, parseAgentId } from "../domain/ids.ts";
import { parseBinarySize } from "../domain/resource/binary_size.ts";
import { Mismatch, type Parser, type Surroundings } from "./field.ts";

export interface Address {
  /** Host name or IP literal without brackets; may be blank where the schema says so. */
  readonly host: string;
  readonly port: number;
}

/** Inclusive on both ends; `first < last`. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const PORT = "a port number from 1 to 65535";

export const text: Parser<string> = parser("text", (value) => typeof value === "string" ? value : undefined);

export const nonEmptyText: Parser<string> = parser(
  "text that is not empty",
  (value) => typeof value === "string" && value !== "" ? value : undefined,
);

/** Empty text means the same as no value. */
export const optionalText: Parser<string | null> = parser(
  "text",
  (value) => value === null || value === "" ? null : typeof value === "string" ? value : undefined,
);

export const bool: Parser<boolean> = parser(
  "true or false",
  (value) => typeof value === "boolean" ? value : undefined,
);

export const agentId: Parser<AgentId | null> = {
  expects: 'text of 1 to 64 printable characters without "/" or blanks',
  read(value) {
    if (value === null || value === "") return null;
    return translated(this.expects, value, () => parseAgentId(String(text.read(value, NOWHERE))));
  },
};

/** 04 §4.5. */
export const size: Parser<bigint> = {
  expects: 'a size such as 1073741824, "64M" or "1.5g"',
  read(value) {
    return translated(this.expects, value, () => {
      const bytes = parseBinarySize(value, "size");
      if (bytes < 0n) throw new Mismatch(this.expects, value);
      return bytes;
    });
  },
};

/** Integers, numeric text and integral floats within the limits. */
export function int(min: number, max: number = Number.MAX_SAFE_INTEGER): Parser<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`;
  return parser(`a whole number, ${range}`, (value) => {
    const number = wholeNumber(value);
    return number !== undefined && number >= min && number <= max ? number : undefined;
  });
}

export function oneOf<const T extends string>(...choices: readonly T[]): Parser<T> {
  return parser(choices.map((choice) => `"${choice}"`).join(" or "), (value) => choices.find((it) => it === value));
}

export function listOf<T>(item: Parser<T>): Parser<readonly T[]> {
  return {
    expects: `an array, each item ${item.expects}`,
    read(value, surroundings) {
      if (!Array.isArray(value)) throw new Mismatch(this.expects, value);
      return value.map((it) => item.read(it, surroundings));
    },
  };
}

export function mapOf<T>(item: Parser<T>): Parser<ReadonlyMap<string, T>> {
  return {
    expects: `a table, each value ${item.expects}`,
    read(value, surroundings) {
      if (!isTable(value)) throw new Mismatch(this.expects, value);
      const entries = Object.entries(value);
      return new Map(entries.map(([name, it]) => [name, inPart(`"${name}"`, () => item.read(it, surroundings))]));
    },
  };
}

export function nullable<T>(inner: Parser<T>): Parser<T | null> {
  return {
    expects: inner.expects,
    read: (value, surroundings) => value === null ? null : inner.read(value, surroundings),
  };
}

/** Text `HOST:PORT`, a 2-element array, or a table with `host` and `port`. */
export function address(options: { blankHost: boolean }): Parser<Address> {
  return {
    expects: 'an address such as "127.0.0.1:6001" or { host = "127.0.0.1", port = 6001 }',
    read(value) {
      const parts = addressParts(value);
      if (parts === undefined) throw new Mismatch(this.expects, value);
      const host = typeof parts.host === "string" ? parts.host.trim().replace(/^\[(.*)\]$/, "$1") : undefined;
      if (host === undefined || !isHost(host)) throw new Mismatch("a host name or IP address", parts.host, "host");
      if (host === "" && !options.blankHost) throw new Mismatch("a host that is not blank", parts.host, "host");
      const port = wholeNumber(parts.port);
      if (port === undefined || port < 1 || port > 65535) throw new Mismatch(PORT, parts.port, "port");
      return { host, port };
    },
  };
}

/** The two parts of an address in any of its forms, not checked; undefined if it has none of these forms. */
export function addressParts(value: unknown): { host: unknown; port: unknown } | undefined {
  if (typeof value === "string") {
    const colon = value.lastIndexOf(":");
    return colon < 0 ? undefined : { host: value.slice(0, colon), port: value.slice(colon + 1) };
  }
  if (Array.isArray(value)) return value.length === 2 ? { host: value[0], port: value[1] } : undefined;
  return isTable(value) ? { host: value["host"], port: value["port"] } : undefined;
}

export const portRange: Parser<PortRange> = {
  expects: 'a port range such as [30000, 31000] or "30000-31000", the first port below the last',
  read(value) {
    const parts = typeof value === "string" ? value.split("-") : value;
    if (!Array.isArray(parts) || parts.length !== 2) throw new Mismatch(this.expects, value);
    const [first, last] = parts.map(wholeNumber);
    if (first === undefined || last === undefined || first < 1 || last > 65535 || first >= last) {
      throw new Mismatch(this.expects, value);
    }
    return { first, last };
  },
};

/** Made absolute; empty text stays empty. */
export const path: Parser<string> = {
  expects: "a path",
  read(value, surroundings) {
    if (typeof value !== "string" || value.includes("\0")) throw new Mismatch(this.expects, value);
    return value === "" ? "" : absolutePath(value, surroundings);
  },
};

export const nonEmptyPath: Parser<string> = {
  expects: "a path that is not empty",
  read(value, surroundings) {
    if (value === "") throw new Mismatch(this.expects, value);
    return path.read(value, surroundings);
  },
};

export const userId: Parser<number> = accountId("user", (surroundings) => surroundings.userIds);
export const groupId: Parser<number> = accountId("group", (surroundings) => surroundings.groupIds);

function accountId(
  kind: "user" | "group",
  table: (surroundings: Surroundings) => ReadonlyMap<string, number> | undefined,
): Parser<number> {
  return {
    expects: `a ${kind} id (-1: chosen by the agent) or the name of an existing ${kind}`,
    read(value, surroundings) {
      if (value === "") return -1;
      const id = wholeNumber(value) ?? (typeof value === "string" ? table(surroundings)?.get(value) : undefined);
      if (id === undefined || id < -1 || id > 0xffff_fffe) throw new Mismatch(this.expects, value);
      return id;
    },
  };
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

export function absolutePath(value: string, { cwd, home }: Surroundings): string {
  const expanded = home !== undefined && /^~(\/|$)/.test(value) ? home + value.slice(1) : value;
  const parts: string[] = [];
  for (const part of (expanded.startsWith("/") ? expanded : `${cwd}/${expanded}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

const NOWHERE: Surroundings = { cwd: "/", home: undefined, uid: -1, environment: {} };

function parser<T>(expects: string, read: (value: unknown) => T | undefined): Parser<T> {
  return {
    expects,
    read(value) {
      const result = read(value);
      if (result === undefined) throw new Mismatch(expects, value);
      return result;
    },
  };
}

function wholeNumber(value: unknown): number | undefined {
  const isText = typeof value === "string" && /^\s*[+-]?\d{1,16}\s*$/.test(value);
  const number = typeof value === "number" ? value : isText ? Number(value) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

/** Letters, digits, `.`, `-`, `_` of a name; or the hex digits and colons of an IPv6 literal with an optional zone. */
function isHost(host: string): boolean {
  return /^[A-Za-z0-9._-]{0,253}$/.test(host) || /^[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]+)?$/.test(host);
}

function translated<T>(expects: string, value: unknown, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof InvalidField) throw new Mismatch(expects, value);
    throw error;
  }
}

function inPart<T>(part: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Mismatch) throw new Mismatch(error.expected, error.found, part);
    throw error;
  }
}

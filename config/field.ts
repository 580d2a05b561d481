/**
 * The vocabulary of `schema.ts`: a key is a field, a table is a section, and the type of the configuration follows from
 * them. A little code of our own instead of a schema library, because the agent's memory is counted and a library would
 * cost more of it than all configuration code together (docs/dependencies.md).
 */

/** What the reading of values may depend on besides the file. */
export interface Surroundings {
  /** Absolute; relative paths in the configuration start here. */
  readonly cwd: string;
  readonly home: string | undefined;
  /** User id of this process. */
  readonly uid: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Ids of existing accounts by name; without them names are refused. */
  readonly userIds?: ReadonlyMap<string, number>;
  readonly groupIds?: ReadonlyMap<string, number>;
}

/** Reads one TOML value. */
export interface Parser<T> {
  /** The accepted forms in a few words; completes `expected …`. */
  readonly expects: string;
  /** @throws {Mismatch} if the value has none of these forms. */
  read(value: unknown, surroundings: Surroundings): T;
}

/** A value does not have the form its key asks for. `part` names the wrong piece of a compound value. */
export class Mismatch extends Error {
  constructor(readonly expected: string, readonly found: unknown, readonly part?: string) {
    super(`expected ${expected}`);
  }
}

/** A default as it would stand in the file, so that it goes through the same parser. */
export type RawDefault = unknown;

export interface FieldOptions {
  /** One or two sentences for the operator. */
  readonly doc: string;
  /** Absent: the key is required. */
  readonly default?: RawDefault;
  /** Used instead of `default` when the agent runs standalone. A function sees the state folder. */
  readonly standalone?: RawDefault | ((stateDir: string) => RawDefault);
  /** Environment variable that overrides the key, or one for each part of an address. */
  readonly env?: string | { readonly host: string; readonly port: string };
  /** Former names: still read, with a warning. */
  readonly aliases?: readonly string[];
  /** The value never appears in a message. */
  readonly secret?: boolean;
}

export interface Field<T> extends FieldOptions {
  readonly kind: "field";
  readonly parser: Parser<T>;
}

export type Entries = { readonly [key: string]: Field<unknown> | Section<Entries, boolean> };

export interface SectionOptions {
  readonly doc: string;
  /** Another program's section: what is wrong in it is a warning here, not an error. */
  readonly foreign?: boolean;
}

export interface Section<E extends Entries, Optional extends boolean = false> extends SectionOptions {
  readonly kind: "section";
  readonly entries: E;
  /** Absent in the file: the whole section is `null` instead of its defaults. */
  readonly optional: Optional;
}

/** `rpc-listen-addr` in the file is `rpcListenAddr` in the code. */
export type Camel<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;

/** The type of the parsed configuration. */
export type Infer<S> = S extends Field<infer T> ? T
  : S extends Section<infer E, infer Optional>
    ? { readonly [K in keyof E & string as Camel<K>]: Infer<E[K]> } | (Optional extends true ? null : never)
  : never;

export function field<T>(parser: Parser<T>, options: FieldOptions): Field<T> {
  return { kind: "field", parser, ...options };
}

export function section<E extends Entries>(options: SectionOptions, entries: E): Section<E> {
  return { kind: "section", optional: false, entries, ...options };
}

export function optionalSection<E extends Entries>(options: SectionOptions, entries: E): Section<E, true> {
  return { kind: "section", optional: true, entries, ...options };
}

export function camel(key: string): string {
  return key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

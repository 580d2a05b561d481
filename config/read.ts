/** Reads a TOML tree by a schema: values, what is wrong, and what is only odd. */
import { describeValue } from "./describe.ts";
import type { Problem } from "./errors.ts";
import { camel, type Entries, type Field, type Infer, Mismatch, type Section, type Surroundings } from "./field.ts";
import { nearest } from "./nearest.ts";
import { isTable } from "./values.ts";

export interface ReadContext {
  readonly surroundings: Surroundings;
  /** Set for a standalone agent, whose defaults may depend on it. */
  readonly standaloneStateDir: string | undefined;
  /** Where the value of a key came from, for messages. */
  readonly origin: (path: readonly string[]) => string | undefined;
  readonly problems: Problem[];
  readonly warnings: string[];
}

/** The value is usable only if `context.problems` is empty afterwards. */
export function readTree<S extends Section<Entries, boolean>>(
  schema: S,
  tree: unknown,
  context: ReadContext,
): Infer<S> {
  // `readSection` walks the schema, so its result has the type that Infer derives from the same schema
  return readSection(schema, tree, [], context) as Infer<S>;
}

function readSection(
  schema: Section<Entries, boolean>,
  given: unknown,
  path: readonly string[],
  context: ReadContext,
): Record<string, unknown> | null {
  if (given === undefined && schema.optional) return null;
  const table = given ?? {};
  if (!isTable(table)) {
    addProblem(context, path, `expected a table, got ${describeValue(given)}`);
    return null;
  }
  warnUnknown(schema.entries, table, path, context);
  const lenient = schema.foreign ? { ...context, problems: [] } : context;
  const result: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(schema.entries)) {
    const here = [...path, key];
    result[camel(key)] = entry.kind === "section"
      ? readSection(entry, table[key], here, lenient)
      : readField(entry, valueOf(entry, key, table, path, lenient), here, lenient);
  }
  for (const { key, reason, origin } of schema.foreign ? lenient.problems : []) {
    context.warnings.push(`${prefix(origin)}${key}: ${reason}; ignored, it is another program's key`);
  }
  return result;
}

function readField(entry: Field<unknown>, given: unknown, path: readonly string[], context: ReadContext): unknown {
  const value = given === undefined ? defaultOf(entry, context) : given;
  if (value === undefined) {
    addProblem(context, path, "is required");
    return undefined;
  }
  try {
    return entry.parser.read(value, context.surroundings);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    const found = entry.secret ? "something else" : describeValue(error.found);
    addProblem(
      context,
      error.part === undefined ? path : [...path, error.part],
      `expected ${error.expected}, got ${found}`,
    );
    return given === undefined ? undefined : safeDefault(entry, context);
  }
}

/** What a foreign section falls back to; elsewhere the problem ends the start anyway. */
function safeDefault(entry: Field<unknown>, context: ReadContext): unknown {
  return entry.default === undefined ? undefined : entry.parser.read(entry.default, context.surroundings);
}

function valueOf(
  entry: Field<unknown>,
  key: string,
  table: Record<string, unknown>,
  path: readonly string[],
  context: ReadContext,
): unknown {
  if (table[key] !== undefined) return table[key];
  const alias = entry.aliases?.find((it) => table[it] !== undefined);
  if (alias === undefined) return undefined;
  const former = [...path, alias];
  context.warnings.push(
    `${prefix(context.origin(former))}key "${former.join(".")}" is deprecated; use "${[...path, key].join(".")}"`,
  );
  return table[alias];
}

function defaultOf(entry: Field<unknown>, { standaloneStateDir }: ReadContext): unknown {
  if (standaloneStateDir === undefined || entry.standalone === undefined) return entry.default;
  return typeof entry.standalone === "function" ? entry.standalone(standaloneStateDir) : entry.standalone;
}

function warnUnknown(
  entries: Entries,
  table: Record<string, unknown>,
  path: readonly string[],
  { warnings, origin }: ReadContext,
): void {
  const known = Object.entries(entries).flatMap((
    [key, entry],
  ) => [key, ...(entry.kind === "field" ? entry.aliases ?? [] : [])]);
  for (const key of Object.keys(table)) {
    if (known.includes(key)) continue;
    const guess = nearest(key, known);
    const hint = guess === undefined ? "" : `; did you mean "${[...path, guess].join(".")}"?`;
    warnings.push(`${prefix(origin([...path, key]))}unknown key "${[...path, key].join(".")}" is ignored${hint}`);
  }
}

function addProblem({ problems, origin }: ReadContext, path: readonly string[], reason: string): void {
  problems.push({ key: path.join("."), reason, origin: origin(path) });
}

function prefix(origin: string | undefined): string {
  return origin === undefined ? "" : `${origin}: `;
}

/** Environment variables that override keys of the file. Source: 05 §2, §5.4. */
import { type Entries, type Field, type Section } from "./field.ts";
import type { TomlTable } from "./toml.ts";
import { addressParts, isTable } from "./values.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where values that are not from the file came from, by dotted key. */
export type Origins = Map<string, string>;

/**
 * Puts the values of set variables into `tree`, and notes them in `origins`. A set variable wins even if it is empty.
 * An address is brought into the form of a table first, whatever form it had (05-D2).
 */
export function applyEnvironment(
  tree: TomlTable,
  schema: Section<Entries, boolean>,
  options: { environment: Environment; origins: Origins; standalone: boolean },
): void {
  applyLogFile(tree, options.environment, options.origins);
  applySection(tree, schema, [], options);
}

function applySection(
  table: TomlTable,
  { entries }: Section<Entries, boolean>,
  path: readonly string[],
  options: { environment: Environment; origins: Origins; standalone: boolean },
): void {
  const { environment, origins } = options;
  for (const [key, entry] of Object.entries(entries)) {
    const here = [...path, key];
    if (entry.kind === "section") {
      if (!mentions(entry, environment) || (entry.optional && table[key] === undefined)) continue;
      const inner = table[key] ?? {};
      if (!isTable(inner)) continue; // the reading will say so
      table[key] = inner;
      applySection(inner, entry, here, options);
    } else if (typeof entry.env === "string") {
      const value = environment[entry.env];
      if (value === undefined) continue;
      table[key] = value;
      origins.set(here.join("."), `environment variable ${entry.env}`);
    } else if (entry.env !== undefined) {
      applyAddress(table, key, entry, here, options);
    }
  }
}

function applyAddress(
  table: TomlTable,
  key: string,
  entry: Field<unknown>,
  path: readonly string[],
  { environment, origins, standalone }: { environment: Environment; origins: Origins; standalone: boolean },
): void {
  if (typeof entry.env !== "object") return;
  for (const part of ["host", "port"] as const) {
    const value = environment[entry.env[part]];
    if (value === undefined) continue;
    const parts = addressParts(table[key] ?? (standalone ? entry.standalone : undefined) ?? entry.default);
    table[key] = { ...parts, [part]: value };
    origins.set([...path, part].join("."), `environment variable ${entry.env[part]}`);
  }
}

/** Whether any variable of a section is set, so that missing tables are made only for a reason. */
function mentions({ entries }: Section<Entries, boolean>, environment: Environment): boolean {
  return Object.values(entries).some((entry) => {
    if (entry.kind === "section") return mentions(entry, environment);
    const names = typeof entry.env === "object" ? Object.values(entry.env) : entry.env === undefined ? [] : [entry.env];
    return names.some((name) => environment[name] !== undefined);
  });
}

/** `BACKEND_LOG_FILE` names directory and file at once; `BACKEND_LOG_FILE_SIZE` is in MiB (05-D6). */
function applyLogFile(tree: TomlTable, environment: Environment, origins: Origins): void {
  const file = environment["BACKEND_LOG_FILE"];
  const sizeMib = environment["BACKEND_LOG_FILE_SIZE"];
  const logging = tree["logging"] ?? {};
  if ((file === undefined && sizeMib === undefined) || !isTable(logging)) return;
  const section = logging["file"] ?? {};
  if (!isTable(section) || (file === undefined && logging["file"] === undefined)) return;
  if (file !== undefined) {
    const slash = file.lastIndexOf("/");
    section["path"] = slash < 0 ? "." : file.slice(0, slash) || "/";
    section["filename"] = file.slice(slash + 1);
    for (const key of ["path", "filename"]) origins.set(`logging.file.${key}`, "environment variable BACKEND_LOG_FILE");
  }
  if (sizeMib !== undefined) {
    section["rotation-size"] = /^\d+(\.\d+)?$/.test(sizeMib.trim()) ? `${sizeMib.trim()}M` : sizeMib;
    origins.set("logging.file.rotation-size", "environment variable BACKEND_LOG_FILE_SIZE");
  }
  logging["file"] = section;
  tree["logging"] = logging;
}

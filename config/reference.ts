/** Texts that follow from the schema: the reference and the sample file. */
import type { Entries, Field, Section } from "./field.ts";
import { SCHEMA } from "./schema.ts";

const NOTICE = "Made by `deno task config:generate` from `config/schema.ts`; do not edit.";

export function renderReference(): string {
  const sections = sectionsOf(SCHEMA, []).map(({ name, section }) => {
    const rows = fieldsOf(section).map(([key, entry]) => referenceRow(key, entry));
    const presence = section.optional ? " Optional; without it there is none." : "";
    return [
      `## \`[${name}]\``,
      "",
      `${section.doc}${presence}`,
      "",
      "| key | default | value | meaning |",
      "| --- | --- | --- | --- |",
      ...rows,
      "",
    ].join("\n");
  });
  return [
    "<!-- deno-fmt-ignore-file -->", // the tables would be padded to the width of their longest cell
    "",
    "# Configuration of the agent",
    "",
    NOTICE,
    "",
    "The agent reads one TOML file: the one named with `-f`, or by `BACKEND_CONFIG_FILE`, or the first that exists of",
    "`./agent.toml`, `~/.config/backend.ai/agent.toml` and `/etc/backend.ai/agent.toml`. Relative paths start at the",
    "working directory. An environment variable beside a key wins over the file, also when it is empty. An unknown key is",
    "ignored with a warning. Where a standalone agent (`--standalone`, which needs no file) has another default, it is",
    "given after the first. A section may be missing if none of its keys is required.",
    "",
    "Sizes are bytes, or text with a unit of 1024: `64M`, `1.5g`, `1 GiB`. Addresses are text `HOST:PORT`, an array",
    "`[host, port]`, or a table `{ host = …, port = … }`.",
    "",
    ...sections,
    "## Other environment variables",
    "",
    "| variable | meaning |",
    "| --- | --- |",
    "| `BACKEND_CONFIG_FILE` | the configuration file, if `-f` does not name one |",
    "| `BACKEND_REGION` | `agent.region` of a host that is in no known cloud |",
    "| `BACKEND_LOG_FILE` | `logging.file.path` and `logging.file.filename` at once |",
    "| `BACKEND_LOG_FILE_SIZE` | `logging.file.rotation-size` in MiB |",
    "",
  ].join("\n");
}

/** Every key with its default, commented out where the default does; the required ones are filled in. */
export function renderSample(): string {
  const sections = sectionsOf(SCHEMA, []).map(({ name, section }) => {
    const mark = section.optional || section.foreign ? "# " : "";
    return [`# ${section.doc}`, `${mark}[${name}]`, ...fieldsOf(section).flatMap(sampleLines), ""].join("\n");
  });
  return [
    "# Sample configuration of the agent, also read by the watcher. The meaning of every key: REFERENCE.md.",
    `# ${NOTICE.replaceAll("`", "")}`,
    "",
    ...sections,
  ].join("\n");
}

function sectionsOf(
  section: Section<Entries, boolean>,
  path: readonly string[],
): { name: string; section: Section<Entries, boolean> }[] {
  const inner = Object.entries(section.entries).flatMap(([key, entry]) =>
    entry.kind === "section" ? sectionsOf(entry, [...path, key]) : []
  );
  return path.length === 0 ? inner : [{ name: path.join("."), section }, ...inner];
}

function fieldsOf({ entries }: Section<Entries, boolean>): [string, Field<unknown>][] {
  return Object.entries(entries).flatMap(([key, entry]) => entry.kind === "field" ? [[key, entry]] : []);
}

function referenceRow(key: string, entry: Field<unknown>): string {
  const cells = [`\`${key}\``, defaultCell(entry), entry.parser.expects, meaningCell(entry)];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function defaultCell(entry: Field<unknown>): string {
  const usual = entry.default === undefined ? "**required**" : code(entry.default);
  if (entry.standalone === undefined) return usual;
  const standalone = typeof entry.standalone === "function" ? entry.standalone("{state-dir}") : entry.standalone;
  return `${usual}; standalone: ${code(standalone)}`;
}

function meaningCell({ doc, env, aliases = [] }: Field<unknown>): string {
  const variables = typeof env === "object" ? `\`${env.host}\` (host), \`${env.port}\` (port)` : env && `\`${env}\``;
  const notes = [
    ...(variables ? [`Environment: ${variables}.`] : []),
    ...(aliases.length > 0 ? [`Formerly ${aliases.map((name) => `\`${name}\``).join(", ")}.`] : []),
  ];
  return [doc, ...notes].join(" ");
}

function sampleLines([key, entry]: [string, Field<unknown>]): string[] {
  const isRequired = entry.default === undefined && typeof entry.standalone !== "function" &&
    entry.standalone !== undefined;
  const value = isRequired ? entry.standalone : entry.default;
  const shown = value === null || value === undefined ? '"…"' : toml(value);
  return [`# ${entry.doc.replaceAll("`", "")}`, `${isRequired ? "" : "# "}${key} = ${shown}`];
}

function code(value: unknown): string {
  return value === null ? "none" : `\`${toml(value)}\``;
}

function toml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{ ${Object.entries(value).map(([key, it]) => `${JSON.stringify(key)} = ${toml(it)}`).join(", ")} }`;
}

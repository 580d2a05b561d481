/** The configuration as it may be shown. */
import { camel, type Entries, type Section } from "./field.ts";
import { type AgentConfig, SCHEMA } from "./schema.ts";

/** Values by key with the secret ones replaced; for the log, not for the program. */
export function withoutSecrets(config: AgentConfig): Readonly<Record<string, unknown>> {
  return redact(SCHEMA, { ...config });
}

function redact(
  { entries }: Section<Entries, boolean>,
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const shown = Object.entries(entries).map(([key, entry]) => {
    const value = values[camel(key)];
    if (entry.kind === "field") return [key, entry.secret && value !== "" ? "(secret)" : value];
    return [key, value === null ? null : redact(entry, { ...value as object })]; // a section's value is an object
  });
  return Object.fromEntries(shown);
}

/**
 * Writes `REFERENCE.md` and `agent.sample.toml` from the schema; with `--check` only compares and exits with 1 if one of
 * them is stale.
 */
import { renderReference, renderSample } from "./reference.ts";

const FILES = [["REFERENCE.md", renderReference()], ["agent.sample.toml", renderSample()]] as const;

/** Names of the generated files whose text on disk is not what the schema says. */
export function staleFiles(): string[] {
  return FILES.filter(([name, content]) => readText(name) !== content).map(([name]) => name);
}

function readText(name: string): string | undefined {
  try {
    return Deno.readTextFileSync(new URL(name, import.meta.url));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

if (import.meta.main) {
  if (Deno.args.includes("--check")) {
    const stale = staleFiles();
    for (const name of stale) console.error(`config/${name} is stale: run "deno task config:generate"`);
    Deno.exit(stale.length === 0 ? 0 : 1);
  }
  for (const [name, content] of FILES) Deno.writeTextFileSync(new URL(name, import.meta.url), content);
}

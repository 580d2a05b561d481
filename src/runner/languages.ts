import { statSync } from "node:fs";
import { DRIVER_SETTINGS } from "./script/driver_settings.ts";
import type { OutputGate } from "./child_process.ts";
import { Interpreter } from "./interpreter.ts";
import { NoQueryEngine, type QueryEngine, type QueryObserver } from "./query_engine.ts";

export interface EngineContext {
  readonly runtimeType: string;
  readonly runtimePath: string | undefined;
  readonly runnerFolder: string;
  readonly workFolder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly gate: OutputGate;
  readonly observer: QueryObserver;
}

/** A busy script cannot be interrupted from outside V8: it is given this long to come to a wait by itself. */
const SCRIPT_INTERRUPT_GRACE_MS = 1_000;

/** How queries of a runtime type are run (07 §1, §2.2). A type that is not served yet still gets batch mode. */
export function queryEngine(context: EngineContext): QueryEngine {
  switch (context.runtimeType) {
    case "python":
      return pythonEngine(context);
    case "typescript":
    case "javascript":
      return scriptEngine(context);
    default:
      return new NoQueryEngine(context.observer, `Cannot run queries: runtime type "${context.runtimeType}" has none`);
  }
}

/** The image's own interpreter; the default of 07 §1 only when there is no better one in `PATH`. */
function pythonEngine(context: EngineContext): QueryEngine {
  const candidates = [context.runtimePath, "python3", "/usr/bin/python3", "/usr/local/bin/python3", "python"];
  const file = firstExecutable(candidates, context.environment["PATH"] ?? "");
  if (file === undefined) {
    return new NoQueryEngine(context.observer, "Cannot run queries: the image has no python3");
  }
  return new Interpreter({
    ...context,
    name: "Python",
    file,
    args: [`${context.runnerFolder}/driver.py`],
    cwd: context.workFolder,
  }, context.observer);
}

/** The runner's own Deno, as a process of its own. */
function scriptEngine(context: EngineContext): QueryEngine {
  const flags = ["-A", "--no-config", "--no-lock", "--no-prompt"];
  return new Interpreter({
    ...context,
    name: context.runtimeType === "typescript" ? "TypeScript" : "JavaScript",
    file: Deno.execPath(),
    args: ["run", ...flags, `${context.runnerFolder}/driver.mjs`, context.runtimeType],
    cwd: context.workFolder,
    environment: { ...context.environment, ...Object.fromEntries(DRIVER_SETTINGS.map((name) => [name, "1"])) },
    interruptGraceMs: SCRIPT_INTERRUPT_GRACE_MS,
  }, context.observer);
}

/** The first of `names` that is an executable file; names without a slash are looked for in `path`. */
export function firstExecutable(names: readonly (string | undefined)[], path: string): string | undefined {
  for (const name of names) {
    if (name === undefined) continue;
    const places = name.includes("/") ? [name] : path.split(":").map((folder) => `${folder || "."}/${name}`);
    const found = places.find(isExecutable);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && stat.isFile() && (stat.mode & 0o111) !== 0;
}

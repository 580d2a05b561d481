/** Environment of everything that runs user code. Pure. */

/** Where the agent mounts the runner; nothing from there may reach user code. */
export const RUNNER_FOLDER = "/opt/backend.ai";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Settings of the runner's Deno: no look for a newer one, and no `node` of its own put into `PATH`. */
export const RUNNER_SETTINGS = ["DENO_NO_UPDATE_CHECK", "DENO_DISABLE_NODE_SHIM"] as const;

export interface EnvironmentFacts {
  /** The runner's own environment: the image's, and what the agent gave to the container. */
  readonly own: Readonly<Record<string, string>>;
  /** Content of `environ.txt` (08 §6); empty if there is none. */
  readonly environText: string;
  readonly home: string;
  /** The first shell that the image has; `undefined` if it has none. */
  readonly shell: string | undefined;
}

/**
 * `environ.txt` wins over the image's values, and defaults only fill gaps (07 §10). `HOME` is the work folder whatever
 * the image says (08 §4). What belongs to the runner is left out.
 */
export function userEnvironment(facts: EnvironmentFacts): Record<string, string> {
  const given = parseEnviron(facts.environText);
  const { HOME: _, ...own } = facts.own;
  const environment: Record<string, string> = {
    PATH: DEFAULT_PATH,
    TERM: "xterm",
    LANG: "C.UTF-8",
    USER: "work",
    ...(facts.shell === undefined ? {} : { SHELL: facts.shell }),
    HOME: facts.home,
    ...own,
    ...given,
  };
  for (const name of ["PATH", "LD_LIBRARY_PATH", "LD_PRELOAD"]) leaveOutRunner(environment, name);
  if (isRunners(environment["DENO_DIR"] ?? "")) delete environment["DENO_DIR"];
  for (const name of RUNNER_SETTINGS) delete environment[name];
  return environment;
}

/** `KEY=VALUE` lines; a line that is none is skipped, and only that line (08 §17). */
export function parseEnviron(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0 && !line.includes("\0")) values[line.slice(0, at)] = line.slice(at + 1);
  }
  return values;
}

function leaveOutRunner(environment: Record<string, string>, name: string): void {
  const value = environment[name];
  if (value === undefined || !value.includes(RUNNER_FOLDER)) return;
  const rest = value.split(":").filter((entry) => !isRunners(entry)).join(":");
  if (rest === "") delete environment[name];
  else environment[name] = rest;
}

function isRunners(path: string): boolean {
  return path === RUNNER_FOLDER || path.startsWith(`${RUNNER_FOLDER}/`);
}

import { StartFailed } from "../../domain/errors.ts";

/** The built runner folder on this host: `manifest.json` says how it is used. Written by `src/runner/build`. */
export interface RunnerInstallation {
  /** Absolute path without links: it is mounted, and must outlive a later build. */
  readonly dir: string;
  /** First words of the container's command; runtime type and path follow. */
  readonly command: readonly string[];
  /** Variables of the runner itself; user code does not see them. */
  readonly environ: ReadonlyMap<string, string>;
}

/** @param dir one version's folder, or a link to it. @throws {StartFailed} if there is no usable runner. */
export async function readInstallation(dir: string): Promise<RunnerInstallation> {
  try {
    const real = await Deno.realPath(dir);
    return { dir: real, ...parseManifest(JSON.parse(await Deno.readTextFile(`${real}/manifest.json`))) };
  } catch (error) {
    throw new StartFailed(`there is no kernel runner in "${dir}"; build it with: deno task runner:build`, {
      cause: error,
    });
  }
}

function parseManifest(value: unknown): Omit<RunnerInstallation, "dir"> {
  const { command, environ } = Object(value);
  if (!Array.isArray(command) || !command.every((word) => typeof word === "string")) {
    throw new TypeError('"command" in manifest.json is not an array of texts');
  }
  const variables = Object.entries(Object(environ));
  for (const [name, text] of variables) {
    if (typeof text !== "string") throw new TypeError(`"environ.${name}" in manifest.json is not a text`);
  }
  return { command, environ: new Map(variables as [string, string][]) }; // checked above
}

/**
 * Reads every file once, so that its pages are in the cache and charged to nobody: otherwise the first container that
 * touches them pays, and a small one never starts.
 */
export async function warmUp({ dir }: RunnerInstallation, signal: AbortSignal): Promise<void> {
  const buffer = new Uint8Array(256 * 1024);
  for await (const path of filesBelow(dir)) {
    using file = await Deno.open(path);
    while (await file.read(buffer) !== null) signal.throwIfAborted();
  }
}

async function* filesBelow(dir: string): AsyncIterable<string> {
  for await (const { name, isFile, isDirectory } of Deno.readDir(dir)) {
    if (isFile) yield `${dir}/${name}`;
    else if (isDirectory) yield* filesBelow(`${dir}/${name}`);
  }
}

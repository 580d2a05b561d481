import { DatabaseSync } from "node:sqlite";

/** Name of the folder inside the runner's folder; the container's `DENO_DIR` points there. */
export const CACHE_FOLDER = "cache";
const CODE_DATABASE = "v8_code_cache_v2";

/**
 * Runs the runner once so that V8's compiled code lies in its folder, which saves every kernel's start that work.
 * `built` is where the folder lies now, `mounted` where containers will see it. Throws if the runner does not work.
 */
export async function fillCodeCache(deno: string, built: string, mounted: string): Promise<void> {
  const cache = `${built}/${CACHE_FOLDER}`;
  const work = await Deno.makeTempDir();
  try {
    const flags = ["-A", "--no-config", "--cached-only", "--no-prompt"];
    const options = ["--rehearse", "--host", "127.0.0.1", "--command-port", "0", "--message-port", "0"];
    const places = ["--work", work, "--config", work, "--runner", built];
    // Compiled code is kept from the second run on.
    for (let i = 0; i < 3; i++) {
      const { success, stderr } = await new Deno.Command(deno, {
        args: ["run", ...flags, `${built}/app.mjs`, ...options, ...places, "rehearsal"],
        env: { DENO_DIR: cache, DENO_NO_UPDATE_CHECK: "1", DENO_DISABLE_NODE_SHIM: "1" },
        stdout: "null",
        signal: AbortSignal.timeout(20_000),
      }).output();
      if (!success) throw new Error(`Cannot run the new runner: ${new TextDecoder().decode(stderr)}`);
    }
    moveEntries(`${cache}/${CODE_DATABASE}`, `file://${built}/`, `file://${mounted}/`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  const names = await Array.fromAsync(Deno.readDir(cache), ({ name }) => name);
  for (const name of names.filter(isDatabase)) makeReadable(`${cache}/${name}`);
  for await (const { name } of Deno.readDir(cache)) {
    if (!isDatabase(name)) await Deno.remove(`${cache}/${name}`, { recursive: true });
  }
}

/** Deno complains on the kernel's console about each of its databases that is not there and cannot be made. */
function isDatabase(name: string): boolean {
  return /^\w+_cache_v\d+$/.test(name);
}

/** One plain file, as readers cannot write. */
function makeReadable(database: string): void {
  const db = new DatabaseSync(database);
  try {
    db.exec("PRAGMA journal_mode = DELETE");
  } finally {
    db.close();
  }
}

/** Entries are kept by the module's address, which will be another one. */
function moveEntries(database: string, from: string, to: string): void {
  const db = new DatabaseSync(database);
  try {
    db.prepare("UPDATE codecache SET specifier = replace(specifier, ?, ?)").run(from, to);
  } finally {
    db.close();
  }
}

/**
 * `deno task runner:build`: puts together the folder that the agent mounts read-only at `/opt/backend.ai`, and prints
 * its path. Below `build/runner/<architecture>/` there is one folder a version, named by its content, and `current`, a
 * symbolic link to the newest. What is there already is left as it is.
 *
 * `manifest.json` in it: `version`, `arch`, `target` (where to mount it), `command` (the container's command, to which
 * runtime type and path are appended) and `environ` (variables of the runner alone, not of user code).
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { RUNNER_FOLDER, RUNNER_SETTINGS } from "../environment.ts";
import { bundlePrograms } from "./bundle.ts";
import { CACHE_FOLDER, fillCodeCache } from "./code_cache.ts";
import { architecture, neededLibraries, pointAtLibraries } from "./native.ts";

/** Raise it when the form of the folder changes and no file in it does. */
const LAYOUT = 2;
const OUTPUT = fileURLToPath(new URL("../../../build/runner/", import.meta.url));

async function main(): Promise<void> {
  const arch = architecture();
  const { app, driver, zeromqFolder } = await bundlePrograms();
  const deno = Deno.execPath();
  const addon = `${zeromqFolder}/${arch.addon}`;
  const python = fileURLToPath(new URL("../python/driver.py", import.meta.url));
  const libraries = await neededLibraries([deno, addon]);

  const version = await contentVersion([app, driver], [python, addon, deno, ...libraries.values()]);
  const folder = `${OUTPUT}${arch.name}/${version}`;
  if (!await isFolder(folder)) {
    const unfinished = `${OUTPUT}${arch.name}/.${version}.${Deno.pid}`;
    try {
      await Deno.mkdir(`${unfinished}/bin`, { recursive: true });
      await Deno.mkdir(`${unfinished}/lib`);
      await Deno.writeFile(`${unfinished}/app.mjs`, app);
      await Deno.writeFile(`${unfinished}/driver.mjs`, driver);
      await Deno.copyFile(python, `${unfinished}/driver.py`);
      await Deno.copyFile(addon, `${unfinished}/addon.node`);
      for (const [name, path] of libraries) await Deno.copyFile(path, `${unfinished}/lib/${name}`);
      await fillCodeCache(deno, unfinished, RUNNER_FOLDER);
      await Deno.copyFile(deno, `${unfinished}/bin/deno`);
      await pointAtLibraries(`${unfinished}/bin/deno`, `${RUNNER_FOLDER}/lib`, arch.loader);
      await Deno.writeTextFile(`${unfinished}/manifest.json`, manifest(version, arch.name));
      await makeReadable(unfinished);
      await publish(unfinished, folder);
    } finally {
      await Deno.remove(unfinished, { recursive: true }).catch(() => {}); // gone when it was published
    }
  }
  await pointCurrentAt(version, `${OUTPUT}${arch.name}`);
  console.log(folder);
}

function manifest(version: string, arch: string): string {
  const flags = ["-A", "--no-config", "--cached-only", "--no-prompt"];
  const content = {
    version,
    arch,
    target: RUNNER_FOLDER,
    command: [`${RUNNER_FOLDER}/bin/deno`, "run", ...flags, `${RUNNER_FOLDER}/app.mjs`],
    environ: {
      DENO_DIR: `${RUNNER_FOLDER}/${CACHE_FOLDER}`,
      ...Object.fromEntries(RUNNER_SETTINGS.map((name) => [name, "1"])),
    },
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

/** 16 hex digits that differ when anything in the folder would. */
async function contentVersion(contents: readonly Uint8Array[], files: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(`layout ${LAYOUT}\n`);
  for (const content of contents) hash.update(content);
  for (const file of [...files].sort()) hash.update(await Deno.readFile(file));
  return hash.digest("hex").slice(0, 16);
}

/** Kernels run as another user than the one who builds. */
async function makeReadable(folder: string): Promise<void> {
  await Deno.chmod(folder, 0o755);
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) await makeReadable(path);
    else await Deno.chmod(path, /\/(?:bin|lib)\//.test(path) ? 0o755 : 0o644);
  }
}

/** Another build of the same version may have been first, which is as good. */
async function publish(unfinished: string, folder: string): Promise<void> {
  try {
    await Deno.rename(unfinished, folder);
  } catch (err) {
    if (!await isFolder(folder)) throw err;
  }
}

async function pointCurrentAt(version: string, parent: string): Promise<void> {
  if (await Deno.readLink(`${parent}/current`).catch(() => undefined) === version) return;
  const link = `${parent}/.current.${Deno.pid}`;
  await Deno.symlink(version, link);
  await Deno.rename(link, `${parent}/current`);
}

async function isFolder(path: string): Promise<boolean> {
  return await Deno.stat(path).then((stat) => stat.isDirectory, () => false);
}

if (import.meta.main) await main();

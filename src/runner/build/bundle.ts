import { build, type Plugin, stop } from "esbuild";
import { fileURLToPath } from "node:url";
import { output } from "./native.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** ES modules have no `require`; the libraries that are not modules, and the native addon, need one. */
const BANNER =
  `import { createRequire as createRequire_ } from "node:module"; const require = createRequire_(import.meta.url);`;

export interface Bundles {
  /** The runner; loads `./addon.node` beside it. */
  readonly app: Uint8Array;
  /** The driver of the script languages. */
  readonly driver: Uint8Array;
  /** Folder of the zeromq package, where its prebuilt addons are. */
  readonly zeromqFolder: string;
}

/** Bundles both programs into one file each. Packages come from Deno's cache, at the versions of `deno.json`. */
export async function bundlePrograms(): Promise<Bundles> {
  const entries = { app: "src/runner/main.ts", driver: "src/runner/script/driver.ts" };
  await output(Deno.execPath(), [
    "cache",
    "--config",
    `${ROOT}deno.json`,
    ...Object.values(entries).map((e) => ROOT + e),
  ]);
  const folders = await packageFolders();
  try {
    const [app, driver] = [await bundle(entries.app, folders), await bundle(entries.driver, folders)];
    return { app, driver, zeromqFolder: folders("zeromq") };
  } finally {
    await stop();
  }
}

async function bundle(entry: string, folders: (name: string) => string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [ROOT + entry],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "esnext",
    mainFields: ["module", "main"],
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "eof",
    banner: { js: BANNER },
    external: ["./addon.node"],
    plugins: [denoPackages(folders), mountedAddon],
    logLevel: "error",
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`Cannot bundle "${entry}": there is no output`);
  return file.contents;
}

/** zeromq looks for its addon in its own package folder; in a kernel it lies beside the bundle. */
const mountedAddon: Plugin = {
  name: "mounted-addon",
  setup({ onLoad }) {
    onLoad({ filter: /\/zeromq\/[^/]+\/lib\/load-addon\.js$/ }, () => ({
      contents: `module.exports = require("./addon.node");`,
      loader: "js",
    }));
  },
};

/** Resolves the bare names of `deno.json`. */
function denoPackages(folders: (name: string) => string): Plugin {
  return {
    name: "deno-packages",
    setup({ onResolve, resolve }) {
      onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, kind, resolveDir }) => {
        if (pluginData === "found" || path.startsWith("node:") || kind === "entry-point") return undefined;
        if (!resolveDir.startsWith(ROOT.replace(/\/$/, ""))) return undefined; // a package's own import: node's rules
        return await resolve(".", { resolveDir: folders(path), kind, pluginData: "found" });
      });
    },
  };
}

/** Where Deno keeps the packages that `deno.json` names. */
async function packageFolders(): Promise<(name: string) => string> {
  const { npmCache } = JSON.parse(await output(Deno.execPath(), ["info", "--json"]));
  const { imports } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const registries: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(npmCache)) {
    if (isDirectory) registries.push(`${npmCache}/${name}`);
  }
  return (name) => {
    const version = /^npm:(.+)@([^@]+)$/.exec(String(imports[name]));
    if (version === null) throw new Error(`Cannot bundle package "${name}": deno.json does not name its version`);
    const places = registries.map((registry) => `${registry}/${version[1]}/${version[2]}`);
    const folder = places.find((place) => statIsFolder(place));
    if (folder === undefined) throw new Error(`Cannot bundle package "${name}": it is not in ${npmCache}`);
    return folder;
  };
}

function statIsFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

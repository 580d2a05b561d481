import { InvalidField } from "../../../domain/errors.ts";

/** What differs between processor architectures. */
export interface Architecture {
  /** As `uname -m` says it; names the folder. */
  readonly name: "x86_64" | "aarch64";
  /** The dynamic loader's file name. */
  readonly loader: string;
  /** zeromq's prebuilt addon, below its package folder. The 127 build needs glibc 2.25; newer ones need 2.38. */
  readonly addon: string;
}

export function architecture(name: string = Deno.build.arch): Architecture {
  switch (name) {
    case "x86_64":
      return { name, loader: "ld-linux-x86-64.so.2", addon: "build/linux/x64/node/glibc-127-Release/addon.node" };
    case "aarch64":
      return { name, loader: "ld-linux-aarch64.so.1", addon: "build/linux/arm64/node/glibc-127-Release/addon.node" };
    default:
      throw new InvalidField("architecture", "x86_64 or aarch64", name);
  }
}

/** Libraries that are opened by name at run time, which `ldd` cannot know: name lookups and the poll of `adapters/zeromq`. */
const OPENED_BY_NAME = ["libc.so.6", "libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2"];

/** Paths on this machine of the shared libraries that `binaries` need, the loader included, by file name. */
export async function neededLibraries(binaries: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const binary of binaries) {
    const listing = await output("ldd", [binary]);
    // `libm.so.6 => /lib/…/libm.so.6 (0x…)`, and the loader as `/lib64/ld-linux-x86-64.so.2 (0x…)`
    for (const [, path] of listing.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm)) {
      if (path !== undefined) found.set(path.slice(path.lastIndexOf("/") + 1), path);
    }
  }
  const folder = found.get("libc.so.6")?.replace(/\/[^/]*$/, "");
  if (folder === undefined) throw new Error("Cannot find the C library of this machine");
  for (const name of OPENED_BY_NAME) {
    if (await exists(`${folder}/${name}`)) found.set(name, `${folder}/${name}`);
  }
  return found;
}

/** Makes a copied program use the loader and the libraries of `folder`, wherever the program itself lies. */
export async function pointAtLibraries(binary: string, folder: string, loader: string): Promise<void> {
  const interpreter = `${folder}/${loader}`;
  await output("patchelf", ["--set-interpreter", interpreter, "--force-rpath", "--set-rpath", folder, binary]);
}

/** Standard output of a program that must succeed. */
export async function output(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output()
    .catch((cause: unknown) => {
      throw new Error(`Cannot run "${program}": it is needed to build the runner`, { cause });
    });
  if (!success) throw new Error(`Cannot go on: "${program}" failed: ${new TextDecoder().decode(stderr).trim()}`);
  return new TextDecoder().decode(stdout);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

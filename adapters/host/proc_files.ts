/** Readers of the kernel's text files. Pure; each gives undefined for text that is not what it should be. */

/** Linux counts CPU time for user space in hundredths of a second on every architecture. */
const MS_PER_TICK = 10;
/** Physical by their kind, but no place for data. */
const LEFT_OUT = new Set(["squashfs", "vfat"]);

/** User and system time of each core, ms, from `/proc/stat`. */
export function parseCpuTimes(text: string): readonly number[] | undefined {
  const cores: number[] = [];
  for (const [, core, user, system] of text.matchAll(/^cpu(\d+) (\d+) \d+ (\d+) /gm)) {
    cores[Number(core)] = (Number(user) + Number(system)) * MS_PER_TICK;
  }
  // An offline core has no line; its time stands still
  return cores.length === 0 ? undefined : Array.from(cores, (ms) => ms ?? 0);
}

/** From `/proc/meminfo`, bytes. Used is what is not available to new programs. */
export function parseMemory(text: string): { readonly totalBytes: bigint; readonly usedBytes: bigint } | undefined {
  const total = /^MemTotal:\s+(\d+) kB$/m.exec(text)?.[1];
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  if (total === undefined || available === undefined) return undefined;
  return { totalBytes: BigInt(total) * 1024n, usedBytes: (BigInt(total) - BigInt(available)) * 1024n };
}

/** Sums over all interfaces of `/proc/net/dev`. */
export function parseNetwork(
  text: string,
): { readonly receivedBytes: bigint; readonly sentBytes: bigint } | undefined {
  let receivedBytes = 0n;
  let sentBytes = 0n;
  let count = 0;
  for (const [, received = "", sent = ""] of text.matchAll(/^ *[^\s:]+: *(\d+)(?: +\d+){7} +(\d+) /gm)) {
    receivedBytes += BigInt(received);
    sentBytes += BigInt(sent);
    count++;
  }
  return count === 0 ? undefined : { receivedBytes, sentBytes };
}

/**
 * One mount point of each device that carries a physical file system, by device path.
 * @param mounts text of `/proc/mounts`
 * @param fileSystems text of `/proc/filesystems`: kinds without `nodev` live on devices
 */
export function physicalMounts(mounts: string, fileSystems: string): ReadonlyMap<string, string> {
  const kinds = new Set(["zfs"]);
  for (const [, kind = ""] of fileSystems.matchAll(/^\t(\S+)$/gm)) kinds.add(kind);
  const found = new Map<string, string>();
  for (const [, device = "", path = "", kind = ""] of mounts.matchAll(/^(\S+) (\S+) (\S+) /gm)) {
    if (!kinds.has(kind) || LEFT_OUT.has(kind) || device === "none") continue;
    const name = unescaped(device);
    if (!found.has(name)) found.set(name, unescaped(path)); // 03-D10
  }
  return found;
}

/** Blanks, tabs, newlines and backslashes stand as octal in `/proc/mounts`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

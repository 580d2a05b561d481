/** How much a kernel has written into its work directory. */

/** A size is given again this long before it is measured anew. */
const MIN_AGE_MS = 10_000;
/** A measurement that took long is kept longer, so that measuring never takes more than 2 % of a core. */
const AGE_PER_COST = 50;
/** The event loop gets its turn after this much time. */
const SLICE_MS = 3;
/** Beyond this many entries the rest is not counted: the size is a lower bound. */
const MAX_ENTRIES = 1_000_000;
/** A directory nobody has asked for is forgotten. */
const FORGET_MS = 300_000;

interface Measurement {
  readonly bytes: bigint | undefined;
  readonly validUntilMs: number;
}

/** Measures directories, each by one walk at a time, and remembers. */
export class ScratchSizes {
  readonly #known = new Map<string, Measurement>();
  readonly #walks = new Map<string, Promise<Measurement>>();

  /**
   * Bytes of the regular files and symlinks below `dir`, at most some seconds old; undefined if `dir` cannot be read.
   * An abort ends the wait only: the walk goes on, and the next call profits from it.
   */
  async measure(dir: string, signal: AbortSignal): Promise<bigint | undefined> {
    signal.throwIfAborted();
    const known = this.#known.get(dir);
    if (known !== undefined && performance.now() < known.validUntilMs) return known.bytes;
    let walk = this.#walks.get(dir);
    if (walk === undefined) {
      walk = this.#walk(dir);
      this.#walks.set(dir, walk);
    }
    return (await untilAborted(walk, signal)).bytes;
  }

  async #walk(dir: string): Promise<Measurement> {
    const { bytes, costMs } = await walkSize(dir);
    const nowMs = performance.now();
    // A directory that is missing now may be made in a moment
    const ageMs = bytes === undefined ? 0 : Math.max(MIN_AGE_MS, costMs * AGE_PER_COST);
    const measurement = { bytes, validUntilMs: nowMs + ageMs };
    for (const [other, { validUntilMs }] of this.#known) {
      if (nowMs - validUntilMs > FORGET_MS) this.#known.delete(other);
    }
    this.#known.set(dir, measurement);
    this.#walks.delete(dir);
    return measurement;
  }
}

/** Never rejects. `costMs` is the time for which it kept the event loop busy. */
async function walkSize(dir: string): Promise<{ bytes: bigint | undefined; costMs: number }> {
  const pending = [dir];
  let bytes = 0n;
  let entries = 0;
  let costMs = 0;
  for (let path = pending.pop(); path !== undefined && entries < MAX_ENTRIES; path = pending.pop()) {
    const children = await childrenOf(path);
    if (children === undefined) {
      if (path === dir) return { bytes: undefined, costMs };
      continue; // gone meanwhile, or closed by the user to an agent without root
    }
    let sliceStart = performance.now();
    for (const { name, isDirectory } of children) {
      if (isDirectory) pending.push(`${path}/${name}`);
      else bytes += sizeOf(`${path}/${name}`);
      if (++entries % 64 !== 0 || performance.now() - sliceStart < SLICE_MS) continue;
      costMs += performance.now() - sliceStart;
      await new Promise((resolve) => setTimeout(resolve, 0));
      sliceStart = performance.now();
    }
    costMs += performance.now() - sliceStart;
  }
  return { bytes, costMs };
}

async function childrenOf(path: string): Promise<Deno.DirEntry[] | undefined> {
  try {
    return await Array.fromAsync(Deno.readDir(path));
  } catch {
    return undefined;
  }
}

/** Not following links. Anything but files and links has no size of its own. */
function sizeOf(path: string): bigint {
  try {
    const { isFile, isSymlink, size } = Deno.lstatSync(path);
    return isFile || isSymlink ? BigInt(size) : 0n;
  } catch {
    return 0n; // gone meanwhile
  }
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

import { AgentError, InvalidField, StartFailed } from "../../domain/errors.ts";
import { type AgentId, type KernelId, parseKernelId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_request.ts";
import type { Log } from "../../src/ports/log.ts";
import type { Scratch, ScratchOptions, ScratchStore } from "../../src/ports/scratch_store.ts";
import { decodeRecord, encodeRecord } from "./record_file.ts";

const RECORD = "record.json";
/** Names the agent that the folder belongs to: several agents, also the original one, may share a root. */
const OWNER = "agent";
/** A record is about 1 KiB; whatever is longer is none. */
const LARGEST_RECORD_BYTES = 1 << 20;

export interface FileScratchOptions {
  /** Absolute; made with its parents when it is needed. */
  readonly root: string;
  readonly agentId: AgentId;
  readonly log: Log;
}

/**
 * {@linkcode ScratchStore} in folders of a local file system, `{root}/{kernel id}`. Source: 04 §7.1.
 *
 * The folder itself is closed to everybody but the agent, so that its contents can be open to the kernel's user without
 * being open to other users of the host: the engine, which resolves bind mounts, is root.
 */
export class FileScratch implements ScratchStore {
  readonly #root: string;
  readonly #agentId: AgentId;
  readonly #log: Log;
  #nextTemporary = 0;

  constructor({ root, agentId, log }: FileScratchOptions) {
    this.#root = root;
    this.#agentId = agentId;
    this.#log = log;
  }

  /** Makes the root, and a file in it to see that kernels will have room. @throws {StartFailed} */
  async prepare(): Promise<void> {
    try {
      await Deno.mkdir(this.#root, { recursive: true });
      const probe = await Deno.makeTempFile({ dir: this.#root, prefix: ".probe-" });
      await Deno.remove(probe);
    } catch (cause) {
      throw new StartFailed(`cannot create files in "${this.#root}", the scratch root`, { cause });
    }
  }

  /** Where a kernel's own files are. */
  workDir(kernelId: KernelId): string {
    return `${this.#dir(kernelId)}/work`;
  }

  async create(kernelId: KernelId, { uid, gid }: ScratchOptions): Promise<Scratch> {
    const dir = this.#dir(kernelId);
    const scratch = { workDir: this.workDir(kernelId), configDir: `${dir}/config` };
    await Deno.mkdir(this.#root, { recursive: true });
    await Deno.mkdir(dir, { mode: 0o700 });
    try {
      await Deno.writeTextFile(`${dir}/${OWNER}`, this.#agentId, { createNew: true, mode: 0o600 });
      await makeDir(scratch.configDir, 0o755);
      await makeDir(scratch.workDir, 0o755);
      await giveTo(scratch.workDir, uid, gid);
      return scratch;
    } catch (error) {
      await this.remove(kernelId);
      throw error;
    }
  }

  async writeConfig(kernelId: KernelId, name: string, content: string): Promise<void> {
    if (!/^[\w-][\w.-]{0,99}$/.test(name)) throw new InvalidField("file name", "a plain file name", name);
    await this.#replace(kernelId, `config/${name}`, content, 0o644);
  }

  async writeRecord(record: KernelRecord): Promise<void> {
    await this.#replace(record.kernelId, RECORD, encodeRecord(record), 0o600);
  }

  async readRecord(kernelId: KernelId): Promise<KernelRecord | undefined> {
    const path = `${this.#dir(kernelId)}/${RECORD}`;
    try {
      const { size } = await Deno.stat(path);
      if (size > LARGEST_RECORD_BYTES) throw new InvalidField("record", "at most 1 MiB", size);
      const record = decodeRecord(await Deno.readTextFile(path));
      if (record.kernelId !== kernelId) throw new InvalidField("kernelId", kernelId, record.kernelId);
      return record;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      if (!(error instanceof AgentError)) throw error;
      this.#log.warn("kernel record cannot be understood", { path, error });
      return undefined;
    }
  }

  async clear(kernelId: KernelId): Promise<void> {
    const dir = this.#dir(kernelId);
    await withOpenDirs(dir, async () => {
      for (const name of await namesIn(dir)) if (name !== OWNER) await removeTree(`${dir}/${name}`);
    });
  }

  async remove(kernelId: KernelId): Promise<void> {
    const dir = this.#dir(kernelId);
    await withOpenDirs(dir, () => removeTree(dir));
  }

  async list(): Promise<readonly KernelId[]> {
    const found: KernelId[] = [];
    try {
      for await (const { name, isDirectory } of Deno.readDir(this.#root)) {
        const kernelId = isDirectory ? canonicalKernelId(name) : undefined;
        if (kernelId !== undefined && await this.#isMine(kernelId)) found.push(kernelId);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // no kernel was ever created here
    }
    return found;
  }

  async #isMine(kernelId: KernelId): Promise<boolean> {
    try {
      return await Deno.readTextFile(`${this.#dir(kernelId)}/${OWNER}`) === this.#agentId;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || isDenied(error)) return false;
      throw error;
    }
  }

  #dir(kernelId: KernelId): string {
    return `${this.#root}/${kernelId}`;
  }

  /**
   * Renames a finished file over the old one. It is not flushed to the disk: what a power cut could lose is the record of
   * a kernel that has ended with it.
   */
  async #replace(kernelId: KernelId, name: string, content: string, mode: number): Promise<void> {
    const dir = this.#dir(kernelId);
    const temporary = `${dir}/.new-${this.#nextTemporary++}`;
    try {
      await Deno.writeTextFile(temporary, content, { createNew: true, mode: 0o600 });
      if (mode !== 0o600) await Deno.chmod(temporary, mode);
      await Deno.rename(temporary, `${dir}/${name}`);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {}); // often it was never made
      throw error;
    }
  }
}

/** `mkdir` is subject to the process's umask. */
async function makeDir(path: string, mode: number): Promise<void> {
  await Deno.mkdir(path);
  await Deno.chmod(path, mode);
}

/** An agent without root cannot give files away; then everybody who gets past the closed parent may write. */
async function giveTo(path: string, uid: number, gid: number): Promise<void> {
  if (Deno.uid() === uid && Deno.gid() === gid) return;
  try {
    await Deno.chown(path, uid, gid);
  } catch (error) {
    if (!isDenied(error)) throw error;
    if (Deno.uid() !== uid) await Deno.chmod(path, 0o777);
  }
}

/** Deno removes links themselves and opens folders without following any. */
async function removeTree(dir: string): Promise<void> {
  try {
    await Deno.remove(dir, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** None if there is no such folder. */
async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** An agent without root is kept out by a folder that the kernel has closed. */
async function withOpenDirs(dir: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    await openDirs(dir);
    await work();
  }
}

async function openDirs(dir: string): Promise<void> {
  await Deno.chmod(dir, 0o700);
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (isDirectory) await openDirs(`${dir}/${name}`); // a link is no directory here
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable;
}

/** undefined for anything but the exact name that a kernel's folder has. */
function canonicalKernelId(name: string): KernelId | undefined {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name)) return undefined;
  return parseKernelId(name);
}

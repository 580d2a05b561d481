import type { KernelId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_request.ts";

/** Host paths of one kernel's private directory. All absolute. */
export interface Scratch {
  /** Mounted read-write at `/home/work`; owned by the kernel's user. */
  readonly workDir: string;
  /** Mounted read-only at `/home/config`. */
  readonly configDir: string;
}

export interface ScratchOptions {
  readonly uid: number;
  readonly gid: number;
}

/** Private directories of kernels on this host, and the record that lets a kernel outlive an agent restart. */
export interface ScratchStore {
  /** Makes the directories. Fails if they exist. If it rejects, nothing is left. */
  create(kernelId: KernelId, options: ScratchOptions): Promise<Scratch>;
  /** Writes (or replaces, in one step) a file of the configuration directory; `name` is a plain file name. */
  writeConfig(kernelId: KernelId, name: string, content: string): Promise<void>;
  /** Writes or replaces the record in one step: a crash leaves the old or the new one. Not readable by the kernel. */
  writeRecord(record: KernelRecord): Promise<void>;
  /** The record; undefined if there is none or it cannot be understood (which is logged). */
  readRecord(kernelId: KernelId): Promise<KernelRecord | undefined>;
  /**
   * Removes what a kernel has, but not its place in {@linkcode list}: a reminder until its end has been told. Absent is not
   * an error. Never follows a link that the kernel made.
   */
  clear(kernelId: KernelId): Promise<void>;
  /** Removes everything of a kernel. Absent is not an error. Never follows a link that the kernel made. */
  remove(kernelId: KernelId): Promise<void>;
  /** Kernels of this agent that have a directory here, in no order; whatever else lies in the root is left alone. */
  list(): Promise<readonly KernelId[]>;
}

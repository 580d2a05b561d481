import { InvalidField } from "../../domain/errors.ts";
import type { KernelId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_request.ts";
import type { Scratch, ScratchOptions, ScratchStore } from "../../src/ports/scratch_store.ts";
import { FaultPlan } from "./fault_plan.ts";

/** One kernel's directory. */
export interface FakeScratch {
  readonly owner: ScratchOptions;
  readonly config: Map<string, string>;
  /** Nothing is left but its name. */
  cleared?: boolean;
  record?: KernelRecord;
}

/** {@linkcode ScratchStore} in memory. Operations of the plan: the names of the methods. */
export class FakeScratchStore implements ScratchStore {
  /** What there is; outlives an agent when it is handed on to the next store. */
  readonly kernels: Map<KernelId, FakeScratch>;
  readonly #faults: FaultPlan;

  constructor(faults = new FaultPlan(), kernels = new Map<KernelId, FakeScratch>()) {
    this.#faults = faults;
    this.kernels = kernels;
  }

  // deno-lint-ignore require-await -- asynchronous like the real one, so that faults reject
  async create(kernelId: KernelId, options: ScratchOptions): Promise<Scratch> {
    this.#faults.next("create");
    if (this.kernels.has(kernelId)) throw new Deno.errors.AlreadyExists(kernelId);
    this.kernels.set(kernelId, { owner: options, config: new Map() });
    return { workDir: `/scratch/${kernelId}/work`, configDir: `/scratch/${kernelId}/config` };
  }

  // deno-lint-ignore require-await
  async writeConfig(kernelId: KernelId, name: string, content: string): Promise<void> {
    this.#faults.next("writeConfig");
    if (!/^[\w-][\w.-]{0,99}$/.test(name)) throw new InvalidField("file name", "a plain file name", name);
    this.#existing(kernelId).config.set(name, content);
  }

  // deno-lint-ignore require-await
  async writeRecord(record: KernelRecord): Promise<void> {
    this.#faults.next("writeRecord");
    this.#existing(record.kernelId).record = record;
  }

  // deno-lint-ignore require-await
  async readRecord(kernelId: KernelId): Promise<KernelRecord | undefined> {
    this.#faults.next("readRecord");
    return this.kernels.get(kernelId)?.record;
  }

  // deno-lint-ignore require-await
  async clear(kernelId: KernelId): Promise<void> {
    this.#faults.next("clear");
    const kernel = this.kernels.get(kernelId);
    if (kernel !== undefined) this.kernels.set(kernelId, { owner: kernel.owner, config: new Map(), cleared: true });
  }

  // deno-lint-ignore require-await
  async remove(kernelId: KernelId): Promise<void> {
    this.#faults.next("remove");
    this.kernels.delete(kernelId);
  }

  // deno-lint-ignore require-await
  async list(): Promise<readonly KernelId[]> {
    this.#faults.next("list");
    return [...this.kernels.keys()];
  }

  #existing(kernelId: KernelId): FakeScratch {
    const kernel = this.kernels.get(kernelId);
    if (kernel === undefined) throw new Deno.errors.NotFound(kernelId);
    return kernel;
  }
}

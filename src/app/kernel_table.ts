import { KernelExists, KernelNotFound } from "../../domain/errors.ts";
import type { KernelId } from "../../domain/ids.ts";
import type { Clock } from "../ports/clock.ts";
import { Kernel } from "./kernel.ts";

/** Ended kernels that are remembered, so that nobody hears twice of one end (02-D2). */
const REMEMBERED = 4_096;

/** Every kernel of this agent from the first step of its creation to its announced end. */
export class KernelTable {
  readonly #kernels = new Map<KernelId, Kernel>();
  readonly #ended = new Set<KernelId>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws {KernelExists} if the kernel is known already (04-D40). */
  add(id: KernelId): Kernel {
    if (this.#kernels.has(id)) throw new KernelExists(id);
    const kernel = new Kernel(id, this.#clock.monotonic());
    this.#kernels.set(id, kernel);
    this.#ended.delete(id);
    return kernel;
  }

  find(id: KernelId): Kernel | undefined {
    return this.#kernels.get(id);
  }

  /** @throws {KernelNotFound} unless the kernel runs. */
  running(id: KernelId): Kernel {
    const kernel = this.#kernels.get(id);
    if (!kernel?.running) throw new KernelNotFound(id);
    return kernel;
  }

  /** Forgets a kernel, not its end. */
  remove(kernel: Kernel): void {
    this.#kernels.delete(kernel.id);
  }

  /** Notes that the end of a kernel, known here or not, is being told. Returns whether it is news. */
  noteEnd(id: KernelId): boolean {
    if (this.#ended.has(id)) return false;
    this.#ended.add(id);
    if (this.#ended.size > REMEMBERED) {
      for (const oldest of this.#ended) {
        this.#ended.delete(oldest);
        break;
      }
    }
    return true;
  }

  /** A snapshot: the table may change while it is walked. */
  all(): readonly Kernel[] {
    return [...this.#kernels.values()];
  }
}

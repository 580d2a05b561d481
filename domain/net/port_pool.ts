/** Host TCP ports and the kernels that hold them. Source: 04 §10.1. */
import { InsufficientPorts, InvalidField } from "../errors.ts";
import type { KernelId } from "../ids.ts";

/**
 * A range of host ports. First in, first out: a port that was given back is the last to be handed out again, so that
 * late connections to an ended kernel do not reach a new one.
 *
 * Invariant: every port of the range is free or held by exactly one owner.
 */
export class PortPool {
  /** A set keeps insertion order, which makes it the queue. */
  readonly #free = new Set<number>();
  readonly #held = new Map<KernelId, number[]>();

  /** @param first, last both ends are in the range. @throws {InvalidField} unless 1 <= first <= last <= 65535. */
  constructor(first: number, last: number) {
    const ordered = Number.isInteger(first) && Number.isInteger(last) && 1 <= first && first <= last && last <= 65535;
    if (!ordered) throw new InvalidField("port-range", "two ports in ascending order", `${first}-${last}`);
    for (let port = first; port <= last; port++) this.#free.add(port);
  }

  /**
   * Takes `count` ports in addition to what the owner holds, or nothing when it throws.
   * A port that `usable` refuses (somebody else listens on it) goes to the end of the queue (04-D26); each is tried once.
   * @throws {InsufficientPorts}
   */
  lease(owner: KernelId, count: number, usable: (port: number) => boolean = () => true): readonly number[] {
    const taken: number[] = [];
    const refused: number[] = [];
    if (count <= this.#free.size) {
      for (const port of this.#free) {
        if (taken.length === count) break;
        (usable(port) ? taken : refused).push(port);
      }
    }
    this.#moveToEnd(refused);
    if (taken.length < count) throw new InsufficientPorts(count, this.#free.size - refused.length);
    for (const port of taken) this.#free.delete(port);
    this.#hold(owner, taken);
    return taken;
  }

  /** Records ports that a running kernel holds. Ports outside the range, or held already, are left out. */
  restore(owner: KernelId, ports: readonly number[]): void {
    this.#hold(owner, ports.filter((port) => this.#free.delete(port)));
  }

  /** Gives back everything the owner holds; empty if that is nothing. */
  release(owner: KernelId): readonly number[] {
    const ports = this.heldBy(owner);
    this.#held.delete(owner);
    for (const port of ports) this.#free.add(port);
    return ports;
  }

  /** How many ports are free, usable or not. */
  get free(): number {
    return this.#free.size;
  }

  heldBy(owner: KernelId): readonly number[] {
    return this.#held.get(owner) ?? [];
  }

  #hold(owner: KernelId, ports: readonly number[]): void {
    if (ports.length > 0) this.#held.set(owner, [...this.heldBy(owner), ...ports]);
  }

  #moveToEnd(ports: readonly number[]): void {
    for (const port of ports) {
      this.#free.delete(port);
      this.#free.add(port);
    }
  }
}

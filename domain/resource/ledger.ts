/** Which device gives which kernel how much. Source: 04 §4.3. */
import { InsufficientSlots, UnknownSlot } from "../errors.ts";
import type { KernelId } from "../ids.ts";
import { COUNT, type SlotName, type Slots, slotUnit } from "./slots.ts";

/** One unit that provides a slot: core 3, GPU 0, the memory. Unique within its slot. */
export type DeviceId = string;

export interface Device {
  readonly slot: SlotName;
  readonly id: DeviceId;
  /** In the slot's base unit. */
  readonly capacity: bigint;
  /** `discrete`: only whole units are given out, a request is cut to them. `fraction`: any share. */
  readonly kind: "discrete" | "fraction";
}

/** Slot to device to amount in the slot's base unit; no entry is empty or zero. */
export type Allocation = ReadonlyMap<SlotName, ReadonlyMap<DeviceId, bigint>>;

/** The device a slot belongs to: its name up to the first dot, so `cuda.shares` and `cuda.mem` are both `cuda`'s. */
export function deviceName(slot: SlotName): string {
  const dot = slot.indexOf(".");
  return dot < 0 ? slot : slot.slice(0, dot);
}

interface Provider {
  readonly id: DeviceId;
  readonly capacity: bigint;
  taken: bigint;
}

interface SlotAccount {
  readonly kind: Device["kind"];
  readonly providers: readonly Provider[];
}

/**
 * The amounts held by each kernel. Keyed by owner, so repeats are harmless.
 *
 * Invariant: per device, what is taken is the sum of what owners hold, and {@linkcode AllocationLedger.allocate} never
 * takes it above the capacity. Only {@linkcode AllocationLedger.restore} may, because it records what runs already.
 */
export class AllocationLedger {
  readonly #accounts = new Map<SlotName, { kind: Device["kind"]; providers: Provider[] }>();
  readonly #held = new Map<KernelId, Allocation>();

  /** @param devices in the order that decides between devices with equally much free. */
  constructor(devices: readonly Device[]) {
    for (const { slot, id, capacity, kind } of devices) {
      const account = this.#accounts.get(slot) ?? { kind, providers: [] };
      account.providers.push({ id, capacity, taken: 0n });
      this.#accounts.set(slot, account);
    }
  }

  /**
   * Takes all of `request` (04-D1), or nothing when it throws. Devices with most free give first. An owner that holds
   * something keeps just that. Amounts of zero, and what is cut to zero, are left out (04-D7).
   * @throws {UnknownSlot} for a positive amount of a slot without devices.
   * @throws {InsufficientSlots} if the free amounts of a slot's devices do not add up to what is asked.
   */
  allocate(owner: KernelId, request: Slots): Allocation {
    const held = this.#held.get(owner);
    if (held !== undefined) return held;
    const planned = new Map<SlotName, ReadonlyMap<DeviceId, bigint>>();
    for (const [slot, asked] of request) {
      if (asked <= 0n) continue;
      const account = this.#accounts.get(slot);
      if (account === undefined) throw new UnknownSlot(slot);
      const shares = planShares(slot, account, wholeUnits(slot, asked, account.kind));
      if (shares.size > 0) planned.set(slot, shares);
    }
    this.#book(planned, 1n);
    this.#held.set(owner, planned);
    return planned;
  }

  /** Gives everything back. False if the owner holds nothing. */
  release(owner: KernelId): boolean {
    const allocation = this.#held.get(owner);
    if (allocation === undefined) return false;
    this.#held.delete(owner);
    this.#book(allocation, -1n);
    return true;
  }

  /**
   * Records what a kernel that runs already holds, exactly (04-D19), even above a capacity that has shrunk since.
   * Slots and devices that do not exist any more are left out. An owner that holds something keeps just that.
   * Returns whether all of it was recorded and within the capacities.
   */
  restore(owner: KernelId, allocation: Allocation): boolean {
    if (this.#held.has(owner)) return true;
    let fits = true;
    const known = new Map<SlotName, Map<DeviceId, bigint>>();
    for (const [slot, shares] of allocation) {
      for (const [id, amount] of shares) {
        if (amount <= 0n) continue;
        const provider = this.#provider(slot, id);
        if (provider !== undefined) entry(known, slot).set(id, amount);
        fits &&= provider !== undefined && provider.taken + amount <= provider.capacity;
      }
    }
    this.#book(known, 1n);
    this.#held.set(owner, known);
    return fits;
  }

  /** What can still be given of a slot, over all its devices; 0n for an unknown slot. */
  free(slot: SlotName): bigint {
    return sum(this.#accounts.get(slot)?.providers ?? [], freeOf);
  }

  /** What all devices of a slot have; 0n for an unknown slot. */
  capacity(slot: SlotName): bigint {
    return sum(this.#accounts.get(slot)?.providers ?? [], (provider) => provider.capacity);
  }

  held(owner: KernelId): Allocation | undefined {
    return this.#held.get(owner);
  }

  owners(): Iterable<KernelId> {
    return this.#held.keys();
  }

  #provider(slot: SlotName, id: DeviceId): Provider | undefined {
    return this.#accounts.get(slot)?.providers.find((provider) => provider.id === id);
  }

  #book(allocation: Allocation, sign: 1n | -1n): void {
    for (const [slot, shares] of allocation) {
      for (const [id, amount] of shares) {
        const provider = this.#provider(slot, id);
        if (provider !== undefined) provider.taken += sign * amount;
      }
    }
  }
}

/** Who would give how much of `amount`: devices by free amount descending, ties in device order. Takes nothing yet. */
function planShares(slot: SlotName, account: SlotAccount, amount: bigint): ReadonlyMap<DeviceId, bigint> {
  const free = sum(account.providers, freeOf);
  if (free < amount) throw new InsufficientSlots(deviceName(slot), slot, amount, free, account.kind);
  const byFree = account.providers.toSorted((a, b) => compare(freeOf(b), freeOf(a)));
  const shares = new Map<DeviceId, bigint>();
  let remaining = amount;
  for (const provider of byFree) {
    const share = min(remaining, freeOf(provider));
    if (share === 0n) break;
    shares.set(provider.id, share);
    remaining -= share;
  }
  return shares;
}

function wholeUnits(slot: SlotName, amount: bigint, kind: Device["kind"]): bigint {
  return kind === "discrete" && slotUnit(slot) === "count" ? amount - amount % COUNT : amount;
}

function freeOf(provider: Provider): bigint {
  return provider.taken < provider.capacity ? provider.capacity - provider.taken : 0n;
}

function sum(providers: readonly Provider[], amountOf: (provider: Provider) => bigint): bigint {
  let total = 0n;
  for (const provider of providers) total += amountOf(provider);
  return total;
}

function entry(map: Map<SlotName, Map<DeviceId, bigint>>, slot: SlotName): Map<DeviceId, bigint> {
  const existing = map.get(slot);
  if (existing !== undefined) return existing;
  const created = new Map<DeviceId, bigint>();
  map.set(slot, created);
  return created;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

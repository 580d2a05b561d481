import { StartFailed } from "../../domain/errors.ts";
import type { AgentInfo } from "../../domain/kernel/events.ts";
import type { Device } from "../../domain/resource/ledger.ts";
import { COUNT, slotUnit } from "../../domain/resource/slots.ts";

export interface CapacityOptions {
  readonly cores: number;
  readonly memoryBytes: bigint;
  /** How many kernels may share a core: 1 to 64. */
  readonly cpuOvercommit: number;
  readonly reservedCpu: number;
  readonly reservedMemoryBytes: bigint;
}

/** The devices of this host. Source: 04 §4.1. */
export function intrinsicDevices({ cores, memoryBytes, cpuOvercommit }: CapacityOptions): readonly Device[] {
  const capacity = BigInt(cpuOvercommit) * COUNT;
  const cpus = Array.from({ length: cores }, (_, core): Device => {
    return { slot: "cpu", id: String(core), capacity, kind: "discrete" };
  });
  return [...cpus, { slot: "mem", id: "root", capacity: memoryBytes, kind: "discrete" }];
}

/**
 * What the manager may schedule here: capacity without the reservation. Source: 04 §4.2.
 * @throws {StartFailed} if nothing is left of a slot.
 */
export function reportedSlots(options: CapacityOptions): AgentInfo["slots"] {
  const reserved = new Map([["cpu", BigInt(options.reservedCpu) * COUNT], ["mem", options.reservedMemoryBytes]]);
  const total = new Map<string, bigint>();
  for (const { slot, capacity } of intrinsicDevices(options)) total.set(slot, (total.get(slot) ?? 0n) + capacity);
  const slots = new Map<string, { unit: "count" | "bytes"; amount: bigint }>();
  for (const [slot, capacity] of total) {
    const amount = capacity - (reserved.get(slot) ?? 0n);
    if (amount <= 0n) throw new StartFailed(`the reservation leaves nothing of slot "${slot}"`);
    slots.set(slot, { unit: slotUnit(slot), amount });
  }
  return slots;
}

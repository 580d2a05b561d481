/** Files of a kernel's configuration directory, which programs in the container read. Source: 04 §5.2, §7.1. */
import { InvalidField } from "../errors.ts";
import { type ContainerId, type KernelId, kernelIdHex } from "../ids.ts";
import { formatBinarySize, parseBinarySize } from "../resource/binary_size.ts";
import type { Allocation } from "../resource/ledger.ts";
import { formatAmount, type SlotName, type Slots, slotUnit } from "../resource/slots.ts";

/** `kernel_id.txt`: 32 hex digits, no newline. */
export function kernelIdFile(kernelId: KernelId): string {
  return kernelIdHex(kernelId);
}

/**
 * `environ.txt`: `NAME=value` lines. A value with a line break cannot stand in it and is left out: every variable is
 * in the container's own environment as well, so that nothing is lost (04-D14).
 * @throws {InvalidField} for a name that is empty or has `=` or a line break, and for text with a NUL.
 */
export function environFile(environ: ReadonlyMap<string, string>): string {
  let text = "";
  for (const [name, value] of environ) {
    if (name === "" || /[=\r\n\0]/.test(name)) {
      throw new InvalidField("environ", "names without = or line breaks", name);
    }
    if (value.includes("\0")) throw new InvalidField(`environ.${name}`, "text without NUL characters", value);
    if (!/[\r\n]/.test(value)) text += `${name}=${value}\n`;
  }
  return text;
}

/** What `resource.txt` tells. */
export interface ResourceFacts {
  /** undefined until the container exists. */
  readonly containerId: ContainerId | undefined;
  readonly slots: Slots;
  readonly allocation: Allocation;
  /** `source:target:permission` of each virtual folder. */
  readonly mounts: readonly string[];
  readonly idleTimeoutS: number;
}

/**
 * `resource.txt`. Sizes are short (`1g`) where that is exact, else whole bytes, which readers of the short form take as
 * well (04-D20).
 * @throws {InvalidField} for a mount whose text could be read as something else (04-D14).
 */
export function resourceFile({ containerId, slots, allocation, mounts, idleTimeoutS }: ResourceFacts): string {
  for (const mount of mounts) checkMount(mount);
  const amounts = [...slots].map(([slot, amount]) => {
    return `${JSON.stringify(slot)}: ${JSON.stringify(formatAmount(amount, slotUnit(slot)))}`;
  });
  const shares = [...allocation].map(([slot, devices]) => {
    const parts = [...devices].map(([device, amount]) => `${device}:${shareText(slot, amount)}`);
    return `${slot.toUpperCase()}_SHARES=${parts.join(",")}`;
  });
  const lines = [
    `CID=${containerId ?? ""}`,
    "SCRATCH_SIZE=0m",
    `MOUNTS=${mounts.join(",")}`,
    `SLOTS={${amounts.join(", ")}}`, // with Python's blanks
    `IDLE_TIMEOUT=${idleTimeoutS}`,
    ...shares,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function checkMount(mount: string): void {
  if (!/^[^:,\r\n]+:[^:,\r\n]+:(ro|rw|wd)$/.test(mount)) {
    throw new InvalidField("mounts", "paths without colons, commas and line breaks", mount);
  }
}

function shareText(slot: SlotName, amount: bigint): string {
  if (slotUnit(slot) !== "bytes") return formatAmount(amount, "count");
  const short = formatBinarySize(amount);
  return parseBinarySize(short, slot) === amount ? short : amount.toString();
}

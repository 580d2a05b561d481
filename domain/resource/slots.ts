/** Amounts of resources: what a slot is counted in, and how amounts are read and written. Source: 04 §2, §4. */
import { type Decimal, fixedText, parseDecimal } from "../decimal.ts";
import { InvalidField } from "../errors.ts";

export type SlotUnit = "count" | "bytes";
/** A named kind of resource, e.g. `cpu`, `mem`, `cuda.shares`. */
export type SlotName = string;
/** Amounts in the slot's base unit: bytes, or millionths for counts. */
export type Slots = ReadonlyMap<SlotName, bigint>;

/** One whole unit of a `count` slot in its base unit. */
export const COUNT = 1_000_000n;
const COUNT_DECIMALS = 6;

/** What a slot is counted in: `mem` in bytes, everything else in units. */
export function slotUnit(name: SlotName): SlotUnit {
  return name === "mem" ? "bytes" : "count";
}

/**
 * The base-unit amount of decimal text (with an exponent or not, as the manager's decimals print), a bigint or a safe
 * number. Bytes must be whole; counts have at most six decimals.
 * @throws {InvalidField} for anything else, negative amounts included.
 */
export function parseAmount(text: unknown, unit: SlotUnit, field: string): bigint {
  const decimals = unit === "bytes" ? 0 : COUNT_DECIMALS;
  const value = parseDecimal(decimalText(text));
  const scaled = value === undefined ? undefined : exactlyScaled(value, decimals);
  if (scaled === undefined || scaled < 0n) {
    const expected = unit === "bytes" ? "a whole number of bytes" : "a decimal number with at most 6 decimals";
    throw new InvalidField(field, `${expected}, not negative`, text);
  }
  return scaled;
}

/** Plain decimal text without exponent: `2`, `0.25`, `1073741824`. */
export function formatAmount(amount: bigint, unit: SlotUnit): string {
  return unit === "bytes" ? amount.toString() : fixedText(amount, COUNT_DECIMALS);
}

/**
 * The amounts of a map (record or `Map`) from slot to amount. Zero amounts are left out: the manager names every slot
 * type of the cluster (04 §2, 04-D7).
 * @throws {InvalidField} naming `field.slot`.
 */
export function parseSlots(value: unknown, field: string): Slots {
  const slots = new Map<SlotName, bigint>();
  for (const [name, text] of entriesOf(value, field)) {
    if (name.length === 0 || name.length > 64) throw new InvalidField(field, "slot names of 1 to 64 characters", name);
    const amount = parseAmount(text, slotUnit(name), `${field}.${name}`);
    if (amount > 0n) slots.set(name, amount);
  }
  return slots;
}

function entriesOf(value: unknown, field: string): Iterable<readonly [string, unknown]> {
  if (value instanceof Map) {
    for (const name of value.keys()) {
      if (typeof name !== "string") throw new InvalidField(field, "text slot names", name);
    }
    return value; // every key was just seen to be text
  }
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
  if (!isRecord) throw new InvalidField(field, "a map from slot to amount", value);
  return Object.entries(value);
}

/** Text that {@linkcode parseDecimal} refuses stands for every value that is no number. */
function decimalText(value: unknown): string {
  if (typeof value === "string") return value.trim();
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && Math.abs(value) <= Number.MAX_SAFE_INTEGER) return String(value);
  return "";
}

/** The value in 1/10^`decimals`, or undefined if that loses digits. */
function exactlyScaled(value: Decimal, decimals: number): bigint | undefined {
  if (value.decimals <= decimals) return value.digits * 10n ** BigInt(decimals - value.decimals);
  const divisor = 10n ** BigInt(value.decimals - decimals);
  return value.digits % divisor === 0n ? value.digits / divisor : undefined;
}

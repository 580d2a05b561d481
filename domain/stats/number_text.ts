/** Numbers as statistics write them. Source: 03 §10.5. */
import { ratioText } from "../decimal.ts";

/** Places of every value but percentages. */
export const VALUE_DECIMALS = 3;
export const PERCENT_DECIMALS = 2;

/**
 * `numerator / denominator` rounded half to even, without trailing zeros or exponent; `NaN` if the denominator is 0n.
 */
export function numberText(numerator: bigint, denominator = 1n, decimals = VALUE_DECIMALS): string {
  if (denominator === 0n) return "NaN";
  return denominator < 0n ? ratioText(-numerator, -denominator, decimals) : ratioText(numerator, denominator, decimals);
}

/** `current / capacity` in percent; null unless the capacity is positive. */
export function percentText(current: bigint, capacity: bigint): string | null {
  return capacity > 0n ? numberText(current * 100n, capacity, PERCENT_DECIMALS) : null;
}

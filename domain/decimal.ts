/** Exact decimal arithmetic on `bigint`. A value is held as an integer count of 1/10^`decimals`. */

/** `numerator / denominator` as an integer, ties to the even neighbour. `denominator` is positive. */
export function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  const magnitude = numerator < 0n ? -numerator : numerator;
  const quotient = magnitude / denominator;
  const twice = (magnitude % denominator) * 2n;
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  const rounded = up ? quotient + 1n : quotient;
  return numerator < 0n ? -rounded : rounded;
}

/** `numerator / denominator` rounded half to even to `decimals` places, as text. `denominator` is positive. */
export function ratioText(numerator: bigint, denominator: bigint, decimals: number): string {
  return fixedText(divideHalfEven(numerator * 10n ** BigInt(decimals), denominator), decimals);
}

/** `scaled / 10^decimals` without exponent, trailing zeros and, where integral, decimal point. */
export function fixedText(scaled: bigint, decimals: number): string {
  const negative = scaled < 0n;
  const digits = (negative ? -scaled : scaled).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return `${negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** A decimal number read from text: `digits / 10^decimals`, exactly. */
export interface Decimal {
  readonly digits: bigint;
  /** Not negative. */
  readonly decimals: number;
}

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/**
 * Reads decimal text, with an exponent or without one; undefined if it is none, or longer than 64 characters, or its
 * exponent is beyond ±64: nobody means such a number, and it would cost memory.
 */
export function parseDecimal(text: string): Decimal | undefined {
  const match = text.length <= 64 ? DECIMAL.exec(text) : null;
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = "", exponentText = "0"] = match;
  if (whole === "" && fraction === "") return undefined;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > 64) return undefined;
  const digits = BigInt(`${whole}${fraction}`) * (sign === "-" ? -1n : 1n);
  const decimals = fraction.length - exponent;
  return decimals >= 0 ? { digits, decimals } : { digits: digits * 10n ** BigInt(-decimals), decimals: 0 };
}

/** Sizes in powers of 1024, as configuration and `resource.txt` write them. Source: 04 §4.5. */
import { parseDecimal, ratioText } from "../decimal.ts";
import { InvalidField } from "../errors.ts";

const UNITS = "kmgtpezy";
const PLAIN = /^\+?(\d{1,40})(?: +(?:ibytes|ibyte|ib|bytes|byte|b))?$/;
const WITH_UNIT = /^\+?(\d{1,40}\.?\d{0,20}|\.\d{1,20}) *([kmgtpezy])(?:ibytes|ibyte|ib|bytes|byte|b)?$/;

/**
 * Bytes of a size text: `1g`, `1.5 GiB`, `512 bytes`, `1_000`; whole numbers pass. A fraction needs a unit; what is
 * left below one byte is cut off. Infinite and negative sizes, which the original lets through, have no use here.
 * @throws {InvalidField} for anything else.
 */
export function parseBinarySize(value: unknown, field: string): bigint {
  const bytes = typeof value === "string" ? sizeOfText(value) : wholeNumber(value);
  if (bytes === undefined) throw new InvalidField(field, 'a size such as "64m" or "1.5g"', value);
  return bytes;
}

function sizeOfText(value: string): bigint | undefined {
  const text = value.replaceAll("_", "").trim().toLowerCase();
  const plain = PLAIN.exec(text)?.[1];
  if (plain !== undefined) return BigInt(plain);
  const [, numberText = "", unit = ""] = WITH_UNIT.exec(text) ?? [];
  const number = parseDecimal(numberText);
  if (number === undefined) return undefined;
  return (number.digits << unitShift(UNITS.indexOf(unit))) / 10n ** BigInt(number.decimals);
}

function wholeNumber(value: unknown): bigint | undefined {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  return typeof value === "bigint" && value >= 0n ? value : undefined;
}

/**
 * The short form: `1023`, `1k`, `1.5k`, `5.5g`. Rounded half to even to two decimals, so `1500000000` becomes `1.4g`:
 * for people and programs that only look, never to read an amount back (04-D20).
 */
export function formatBinarySize(bytes: bigint): string {
  let unit = -1;
  while (unit + 1 < UNITS.length && bytes >> unitShift(unit + 1) > 0n) unit++;
  return unit < 0 ? bytes.toString() : `${ratioText(bytes, 1n << unitShift(unit), 2)}${UNITS.charAt(unit)}`;
}

/** The fixed form in mebibytes: `0m`, `64m`, `1430.51m`. */
export function formatMebibytes(bytes: bigint): string {
  return `${ratioText(bytes, 1n << unitShift(UNITS.indexOf("m")), 2)}m`;
}

function unitShift(unit: number): bigint {
  return 10n * BigInt(unit + 1);
}

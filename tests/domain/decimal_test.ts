import assert from "node:assert/strict";
import fc from "fast-check";
import { divideHalfEven, fixedText, parseDecimal, ratioText } from "../../domain/decimal.ts";

const positive = fc.bigInt({ min: 1n, max: 10n ** 30n });
const integer = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n });

Deno.test("divideHalfEven() is within half a unit, and even on a tie", () => {
  fc.assert(fc.property(integer, positive, (numerator, denominator) => {
    const rest = 2n * (numerator - divideHalfEven(numerator, denominator) * denominator);
    assert.ok(-denominator <= rest && rest <= denominator);
  }));
  fc.assert(fc.property(integer, (odd) => {
    assert.equal(divideHalfEven(2n * odd + 1n, 2n) % 2n, 0n);
  }));
});

Deno.test("fixedText() prints what parseDecimal() reads, without exponent or trailing zeros", () => {
  fc.assert(fc.property(integer, fc.nat(12), (scaled, decimals) => {
    const text = fixedText(scaled, decimals);
    assert.match(text, /^-?\d+(\.\d*[1-9])?$/);
    const read = parseDecimal(text);
    assert.ok(read !== undefined && read.decimals <= decimals);
    assert.equal(read.digits * 10n ** BigInt(decimals - read.decimals), scaled);
  }));
});

Deno.test("ratioText() rounds half to even", () => {
  const table = [["125", "100", 1, "1.2"], ["135", "100", 1, "1.4"], ["-125", "100", 1, "-1.2"], [
    "1",
    "3",
    3,
    "0.333",
  ]];
  for (const [numerator = "", denominator = "", decimals, text] of table) {
    assert.equal(ratioText(BigInt(numerator), BigInt(denominator), Number(decimals)), text);
  }
});

Deno.test("parseDecimal() reads every number JavaScript prints", () => {
  const numbers = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e30, max: 1e30 })
    .filter((value) => value === 0 || Math.abs(value) > 1e-30);
  fc.assert(fc.property(numbers, (value) => {
    const read = parseDecimal(String(value));
    assert.ok(read !== undefined);
    assert.equal(Number(`${read.digits}e${-read.decimals}`), value === 0 ? 0 : value);
  }));
});

Deno.test("parseDecimal() refuses what is no number, and exponents that would cost memory", () => {
  for (
    const text of ["", ".", "+", "1e", "e1", "1,0", " 1", "0x1", "NaN", "Infinity", "1e65", "1e-65", "1".repeat(65)]
  ) {
    assert.equal(parseDecimal(text), undefined, text);
  }
});

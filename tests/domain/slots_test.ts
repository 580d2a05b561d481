import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import { COUNT, formatAmount, parseAmount, parseSlots, slotUnit } from "../../domain/resource/slots.ts";

const amount = fc.bigInt({ min: 0n, max: 2n ** 64n });
const unit = fc.constantFrom("bytes" as const, "count" as const);

Deno.test("[04-4.1] slotUnit() is bytes for mem and count for everything else", () => {
  assert.deepEqual(["mem", "cpu", "cuda.mem", "memory"].map(slotUnit), ["bytes", "count", "count", "count"]);
});

Deno.test("parseAmount() reads back what formatAmount() prints", () => {
  fc.assert(fc.property(amount, unit, (value, unit) => {
    const text = formatAmount(value, unit);
    assert.match(text, /^\d+(\.\d{1,6})?$/);
    assert.equal(parseAmount(text, unit, "x"), value);
  }));
});

Deno.test("parseAmount() reads decimal text, exponents, bigints and safe numbers in the base unit", () => {
  const table: [unknown, "bytes" | "count", bigint][] = [
    ["2", "count", 2n * COUNT],
    ["0.25", "count", 250_000n],
    ["1E+1", "count", 10n * COUNT],
    ["0.000001", "count", 1n],
    [" 3 ", "count", 3n * COUNT],
    [0.5, "count", 500_000n],
    [4, "count", 4n * COUNT],
    [4n, "count", 4n * COUNT],
    ["1073741824", "bytes", 1073741824n],
    ["1.073741824E+9", "bytes", 1073741824n],
    ["5.0", "bytes", 5n],
    [67108864, "bytes", 67108864n],
    [2n ** 63n, "bytes", 2n ** 63n],
  ];
  for (const [value, unit, expected] of table) assert.equal(parseAmount(value, unit, "x"), expected, String(value));
});

Deno.test("parseAmount() throws InvalidField with the field for anything else", () => {
  const bad: [unknown, "bytes" | "count"][] = [
    ...["", "x", "-1", "1g", "NaN", "Infinity", "1e99", "0x10", "0.0000001"].map((text) => [text, "count"] as const),
    ...["1.5", "1e-1", "-5"].map((text) => [text, "bytes"] as const),
    ...[null, undefined, true, [], {}, NaN, Infinity, 2 ** 60, -1, new Uint8Array(1)].map((v) => [v, "count"] as const),
  ].map(([value, unit]) => [value, unit]);
  for (const [value, unit] of bad) {
    assert.throws(
      () => parseAmount(value, unit, "resource_slots.cpu"),
      (error) => error instanceof InvalidField && error.field === "resource_slots.cpu",
      String(value),
    );
  }
});

Deno.test("[04-2] parseSlots() reads the manager's map and leaves zero amounts out", () => {
  const sent = { cpu: "2", mem: "1073741824", "cuda.device": "0", "cuda.shares": "0.5" };
  const expected = new Map([["cpu", 2n * COUNT], ["mem", 1073741824n], ["cuda.shares", 500_000n]]);
  assert.deepEqual(parseSlots(sent, "resource_slots"), expected);
  assert.deepEqual(parseSlots(new Map(Object.entries(sent)), "resource_slots"), expected);
});

Deno.test("parseSlots() keeps exactly the positive amounts", () => {
  const names = fc.string({ minLength: 1, maxLength: 20 }).filter((name) => name !== "__proto__");
  fc.assert(fc.property(fc.dictionary(names, amount), (amounts) => {
    const entries = Object.entries(amounts);
    const text = new Map(entries.map(([name, value]) => [name, formatAmount(value, slotUnit(name))]));
    const positive = new Map(entries.filter(([, value]) => value > 0n));
    assert.deepEqual(parseSlots(text, "slots"), positive);
  }));
});

Deno.test("parseSlots() names the slot that is wrong", () => {
  const table: [unknown, string][] = [
    [{ cpu: "x" }, "slots.cpu"],
    [{ mem: "0.5" }, "slots.mem"],
    [{ "": "1" }, "slots"],
    [null, "slots"],
    [["cpu"], "slots"],
    ["cpu", "slots"],
    [new Uint8Array(2), "slots"],
    [new Map([[1, "1"]]), "slots"],
  ];
  for (const [value, field] of table) {
    assert.throws(() => parseSlots(value, "slots"), (error) => error instanceof InvalidField && error.field === field);
  }
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import { formatBinarySize, formatMebibytes, parseBinarySize } from "../../domain/resource/binary_size.ts";

const size = fc.bigInt({ min: 0n, max: 2n ** 70n });

Deno.test("[04-4.5] parseBinarySize() reads every form the original reads", () => {
  const table: Record<string, bigint> = {
    "0": 0n,
    "+5": 5n,
    " 7 ": 7n,
    "1_000": 1000n,
    "10 bytes": 10n,
    "10 b": 10n,
    "1 k": 1024n,
    "1kib": 1024n,
    "1 KiB": 1024n,
    "1kibytes": 1024n,
    "1e": 1n << 60n,
    "3y": 3n << 80n,
    "1.5g": 1610612736n,
    "1.5 g": 1610612736n,
    ".5k": 512n,
    "5.k": 5120n,
    "0.1k": 102n,
  };
  for (const [text, bytes] of Object.entries(table)) assert.equal(parseBinarySize(text, "x"), bytes, text);
  assert.equal(parseBinarySize(4096, "x"), 4096n);
  assert.equal(parseBinarySize(4096n, "x"), 4096n);
});

Deno.test("[04-4.5] parseBinarySize() throws InvalidField for everything else", () => {
  const texts = [
    "",
    "10b",
    "10bytes",
    "1.5",
    "1x",
    "1 000",
    "0x10",
    "1e3",
    "1ki",
    "1k bytes",
    "nan",
    "inf",
    "-5",
    "-1k",
  ];
  for (const value of [...texts, "9".repeat(99), -1, 1.5, NaN, Infinity, 2 ** 60, -1n, null, undefined, {}, []]) {
    assert.throws(
      () => parseBinarySize(value, "mem"),
      (error) => error instanceof InvalidField && error.field === "mem",
    );
  }
});

Deno.test("parseBinarySize() takes a count times its unit, however it is written", () => {
  const endings = fc.constantFrom("", "b", "ib", "byte", "bytes", "ibyte", "ibytes");
  fc.assert(
    fc.property(fc.nat(), fc.nat(7), endings, fc.boolean(), fc.boolean(), (count, power, ending, blank, upper) => {
      const text = `${count}${blank ? " " : ""}${"kmgtpezy".charAt(power)}${ending}`;
      assert.equal(parseBinarySize(upper ? text.toUpperCase() : text, "x"), BigInt(count) << BigInt(10 * (power + 1)));
    }),
  );
});

Deno.test("[04-4.5] formatBinarySize() prints the short form", () => {
  const table: [bigint, string][] = [
    [0n, "0"],
    [1023n, "1023"],
    [1024n, "1k"],
    [1536n, "1.5k"],
    [1152n, "1.12k"],
    [67108864n, "64m"],
    [1048575n, "1024k"],
    [5905580032n, "5.5g"],
    [1500000000n, "1.4g"],
    [2n ** 80n, "1y"],
    [2n ** 95n, "32768y"],
  ];
  for (const [bytes, text] of table) assert.equal(formatBinarySize(bytes), text);
});

Deno.test("formatBinarySize() is off by less than 0.5 % and exact for whole units", () => {
  fc.assert(fc.property(size, (bytes) => {
    const read = parseBinarySize(formatBinarySize(bytes), "x");
    const off = read > bytes ? read - bytes : bytes - read;
    assert.ok(off * 200n <= bytes);
  }));
  fc.assert(fc.property(fc.integer({ min: 1, max: 1023 }), fc.nat(7), (count, power) => {
    const bytes = BigInt(count) << BigInt(10 * (power + 1));
    assert.equal(parseBinarySize(formatBinarySize(bytes), "x"), bytes);
  }));
});

Deno.test("[04-5.2] formatMebibytes() prints the fixed form", () => {
  const table: [bigint, string][] = [[0n, "0m"], [67108864n, "64m"], [1500000000n, "1430.51m"], [1n, "0m"]];
  for (const [bytes, text] of table) assert.equal(formatMebibytes(bytes), text);
});

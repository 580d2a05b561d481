import assert from "node:assert/strict";
import fc from "fast-check";
import { incompleteTail, utf8Length } from "../../domain/kernel/utf8.ts";

/** Bytes that are mostly close to well-formed UTF-8, which is where mistakes hide. */
const bytes = fc.array(
  fc.oneof(
    fc.constantFrom(0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff),
    fc.nat(255),
  ),
  { maxLength: 12 },
).map((values) => Uint8Array.from(values));

Deno.test("incompleteTail() is what an incremental decoder keeps", () => {
  fc.assert(
    fc.property(bytes, fc.nat(3), (all, start) => {
      const end = all.length;
      const from = Math.min(start, end);
      const tail = incompleteTail(all, from, end);
      const incremental = new TextDecoder().decode(all.subarray(from), { stream: true });
      assert.ok(0 <= tail && tail <= 3 && end - tail >= from);
      assert.equal(new TextDecoder().decode(all.subarray(from, end - tail)), incremental);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("incompleteTail() finds every beginning of every character", () => {
  for (const character of ["é", "한", "\ud7ff", "\ue000", "😀", "\u{10ffff}", "\u0800", "\u{10000}"]) {
    const encoded = new TextEncoder().encode(character);
    for (let length = 1; length < encoded.length; length++) assert.equal(incompleteTail(encoded, 0, length), length);
    assert.equal(incompleteTail(encoded, 0, encoded.length), 0);
  }
});

Deno.test("utf8Length() is the length of the encoded text", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.oneof(fc.constantFrom("\ud83d", "\ude00", "é", "한"), fc.string()) }), (text) => {
      assert.equal(utf8Length(text), new TextEncoder().encode(text).length);
    }),
  );
});

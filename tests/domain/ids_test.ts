import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField, InvalidKernelId } from "../../domain/errors.ts";
import {
  kernelIdHex,
  parseAgentId,
  parseContainerId,
  parseImageId,
  parseKernelId,
  parseRunId,
} from "../../domain/ids.ts";

const hexDigits = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });

Deno.test("parseKernelId() accepts a UUID with hyphens anywhere, in any case, and gives one form", () => {
  const insertions = fc.array(fc.nat(32), { maxLength: 6 });
  fc.assert(fc.property(hexDigits(32), insertions, fc.boolean(), (hex, places, upper) => {
    let text = upper ? hex.toUpperCase() : hex;
    for (const place of places.toSorted((a, b) => b - a)) text = `${text.slice(0, place)}-${text.slice(place)}`;
    const id = parseKernelId(text);
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    assert.equal(kernelIdHex(id), hex);
    assert.equal(parseKernelId(id), id);
    assert.equal(parseKernelId(`urn:uuid:${text}`), id);
    assert.equal(parseKernelId(`{${text}}`), id);
  }));
});

Deno.test("[01-5] parseKernelId() throws InvalidKernelId for everything else", () => {
  const others = fc.oneof(
    fc.string(),
    fc.anything(),
    fc.nat(31).chain(hexDigits),
    hexDigits(33),
  ).filter((value) => typeof value !== "string" || value.replaceAll(/[^0-9a-fA-F]/g, "").length !== 32);
  fc.assert(fc.property(others, (value) => {
    assert.throws(() => parseKernelId(value), InvalidKernelId);
  }));
});

Deno.test("parseAgentId() takes 1 to 64 printable characters without slash and blank", () => {
  for (const good of ["i-worker1", "a", "x".repeat(64), "i-07!#"]) assert.equal(parseAgentId(good), good);
  for (const bad of ["", "a/b", "a b", "x".repeat(65), "a\n", "é"]) {
    assert.throws(() => parseAgentId(bad), InvalidField, JSON.stringify(bad));
  }
});

Deno.test("parseContainerId() takes 64 hex digits, parseImageId() the same behind sha256:", () => {
  fc.assert(fc.property(hexDigits(64), (hex) => {
    assert.equal(parseContainerId(hex), hex);
    assert.equal(parseImageId(`sha256:${hex}`), `sha256:${hex}`);
    for (const bad of [hex.slice(1), `${hex}0`, `g${hex.slice(1)}`, ` ${hex}`]) {
      assert.throws(() => parseContainerId(bad), InvalidField);
      assert.throws(() => parseImageId(`sha256:${bad}`), InvalidField);
    }
    for (const bad of [null, 5, [hex]]) assert.throws(() => parseContainerId(bad), InvalidField);
    assert.throws(() => parseImageId(hex), InvalidField);
  }));
});

Deno.test("parseRunId() takes text of 1 to 128 characters", () => {
  fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 128 }), (text) => {
    assert.equal(parseRunId(text), text);
  }));
  for (const bad of ["", "x".repeat(129), null, undefined, 1, new Uint8Array(4)]) {
    assert.throws(() => parseRunId(bad), InvalidField);
  }
});

import assert from "node:assert/strict";
import * as errors from "../../domain/errors.ts";

Deno.test("every AgentError has a code of its own and its class name", () => {
  const samples = Object.entries(errors).flatMap(([name, value]) => {
    if (name === "AgentError") return [];
    const Failure = value as unknown as new (...args: string[]) => errors.AgentError; // every other export is one
    return [[name, new Failure("a", "b", "c")] as const];
  });
  assert.ok(samples.length > 15);
  const codes = samples.map(([name, error]) => {
    assert.ok(error instanceof errors.AgentError);
    assert.equal(error.name, name);
    assert.match(error.code, /^[a-z_]+$/);
    return error.code;
  });
  assert.equal(new Set(codes).size, codes.length);
});

Deno.test("InvalidField shows short text and never the content of anything large", () => {
  const shown = (value: unknown) => new errors.InvalidField("f", "x", value).message.split("got ")[1];
  assert.equal(shown("ab"), '"ab"');
  assert.equal(shown("x".repeat(81)), "text of 81 characters");
  assert.equal(shown(null), "nothing");
  assert.equal(shown(5n), "5");
  assert.equal(shown([1, 2]), "an array of 2");
  assert.equal(shown(new Uint8Array(3)), "3 bytes");
  assert.equal(shown({ secret: "s" }), "a map");
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeCommand, decodeMessage, encodeCommand, encodeMessage } from "../../adapters/runner/protocol.ts";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (frame: Uint8Array | undefined) => new TextDecoder().decode(frame);

for (
  const [command, type, payload] of [
    [{ kind: "code", text: 'print("안녕")' }, "code", 'print("안녕")'],
    [{ kind: "clean", command: "" }, "clean", ""],
    [{ kind: "build", command: "*" }, "build", "*"],
    [{ kind: "exec", command: "./main" }, "exec", "./main"],
    [{ kind: "input", text: "Lablup" }, "input", "Lablup"],
    [{ kind: "interrupt" }, "interrupt", ""],
    [{ kind: "status" }, "status", ""],
  ] satisfies [RunnerCommand, string, string][]
) {
  Deno.test(`[06 §3] encodeCommand() of "${type}"`, () => {
    assert.deepEqual(encodeCommand(command).map(text), [type, payload]);
    assert.deepEqual(decodeCommand([bytes(type), bytes(payload)]), command);
  });
}

Deno.test("[06 §9.7] a completion request carries the code among its options, and is answered by an array", () => {
  const command: RunnerCommand = { kind: "complete", code: "pri", options: { post: "", line: "pri", row: 0, col: 3 } };
  const [type, payload] = encodeCommand(command);
  assert.equal(text(type), "complete");
  assert.deepEqual(JSON.parse(text(payload)), { code: "pri", post: "", line: "pri", row: 0, col: 3 });
  assert.deepEqual(decodeMessage([bytes("completion"), bytes('["print", "property"]')]), {
    kind: "completion",
    items: ["print", "property"],
  });
  assert.deepEqual(decodeCommand([bytes("complete"), bytes("{")]), { kind: "complete", code: "", options: {} });
});

Deno.test("[06 §9.10] status is MessagePack with a float64", () => {
  const frames = encodeMessage({ kind: "status", startedAt: 2 });
  const payload = [0x81, 0xaa, ...bytes("started_at"), 0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0];
  assert.deepEqual(frames.map((frame) => [...frame]), [[...bytes("status")], payload]);
  assert.deepEqual(decodeMessage(frames), { kind: "status", startedAt: 2 });
  assert.equal(decodeMessage([bytes("status"), bytes("{}")]), undefined);
});

for (
  const [name, type, payload, expected] of [
    ["JSON media", "media", '{"type":"image/png","data":"x"}', { kind: "media", type: "image/png", data: "x" }],
    ["[06 D-R2] media that is bare HTML", "media", "<b>x</b>", { kind: "html", text: "<b>x</b>" }],
    ["[06 D-R2] media that is nothing", "media", "x", { kind: "stdout", data: bytes("x") }],
    ["media without data", "media", '{"type":"a/b"}', { kind: "stdout", data: bytes('{"type":"a/b"}') }],
    ["an exit code", "finished", '{"exitCode": -11}', { kind: "finished", exitCode: -11 }],
    ["[06 §4] an end without exit code", "finished", '{"upload_output_files": false}', {
      kind: "finished",
      exitCode: null,
    }],
    ["an end without payload", "build-finished", "", { kind: "build-finished", exitCode: null }],
    ["an exit code that is none", "finished", '{"exitCode": "1"}', { kind: "finished", exitCode: null }],
    ["[06 §9.3] waiting for input, batch", "waiting-input", "", { kind: "waiting-input", options: {} }],
    ["[06 §9.3] waiting for a password", "waiting-input", '{"is_password": true}', {
      kind: "waiting-input",
      options: { is_password: true },
    }],
    ["waiting with a bad payload", "waiting-input", "[1]", { kind: "waiting-input", options: {} }],
    ["completion that is no array", "completion", "{}", { kind: "completion", items: [] }],
    ["log", "log", "text", { kind: "log", text: "text" }],
  ] satisfies [string, string, string, RunnerMessage][]
) {
  Deno.test(`decodeMessage() of ${name}`, () => {
    assert.deepEqual(decodeMessage([bytes(type), bytes(payload)]), expected);
  });
}

Deno.test("[06 §10] another number of frames or an unknown type is no message", () => {
  for (
    const frames of [[], [bytes("finished")], [bytes("finished"), bytes("{}"), bytes("")], [bytes("event"), bytes("")]]
  ) {
    assert.equal(decodeMessage(frames), undefined);
    assert.equal(decodeCommand(frames), undefined);
  }
});

Deno.test("decoding never throws, whatever comes", () => {
  const type = fc.oneof(
    fc.constantFrom("code", "complete", "status", "media", "finished", "waiting-input", "completion", "stdout").map(
      bytes,
    ),
    fc.uint8Array({ maxLength: 80 }),
  );
  const payload = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json().map(bytes));
  fc.assert(fc.property(fc.array(fc.oneof(type, payload), { maxLength: 3 }), (frames) => {
    decodeMessage(frames);
    decodeCommand(frames);
  }));
});

Deno.test("what is encoded comes back", () => {
  const message = fc.oneof(
    fc.record({ kind: fc.constantFrom("stdout" as const, "stderr" as const), data: fc.uint8Array() }),
    fc.record({ kind: fc.constantFrom("html" as const, "log" as const), text: fc.string({ unit: "grapheme" }) }),
    fc.record({
      kind: fc.constantFrom("clean-finished" as const, "finished" as const),
      exitCode: fc.option(fc.integer()),
    }),
    fc.record({ kind: fc.constant("status" as const), startedAt: fc.double({ noNaN: true }) }),
    fc.record({ kind: fc.constant("completion" as const), items: fc.array(fc.string({ unit: "grapheme" })) }),
  );
  fc.assert(fc.property(message, (one) => assert.deepEqual(decodeMessage(encodeMessage(one)), { ...one })));
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (code) => {
    assert.deepEqual(decodeCommand(encodeCommand({ kind: "code", text: code })), { kind: "code", text: code });
  }));
});

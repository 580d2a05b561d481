import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import { ConsoleBuffer, type ConsoleItem, ENTRY_BYTES } from "../../domain/kernel/console.ts";
import type { OutputRecord } from "../../domain/kernel/runner_message.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const out = (text: string): OutputRecord => ({ kind: "stdout", data: encode(text) });
const err = (text: string): OutputRecord => ({ kind: "stderr", data: encode(text) });
const raw = (...bytes: number[]): OutputRecord => ({ kind: "stdout", data: Uint8Array.from(bytes) });

function filled(...records: OutputRecord[]): ConsoleBuffer {
  const buffer = new ConsoleBuffer();
  for (const record of records) buffer.push(record);
  return buffer;
}

/** The items of a version 2 take. */
function items(buffer: ConsoleBuffer): readonly ConsoleItem[] {
  const output = buffer.take(2);
  assert.ok("console" in output);
  return output.console;
}

Deno.test("[06-7.5.1] take() merges adjacent records of one stream and keeps the order", () => {
  const media: OutputRecord = { kind: "media", type: "image/png", data: "data:x" };
  const buffer = filled(
    out("a"),
    out("b"),
    err("x"),
    err("y"),
    out("c"),
    media,
    out("d"),
    { kind: "html", text: "<p>" },
    { kind: "html", text: "<q>" },
    { kind: "log", text: "l" },
  );
  assert.deepEqual(items(buffer), [
    ["stdout", "ab"],
    ["stderr", "xy"],
    ["stdout", "c"],
    ["media", ["image/png", "data:x"]],
    ["stdout", "d"],
    ["html", "<p>"],
    ["html", "<q>"],
    ["log", "l"],
  ]);
});

Deno.test("[06-7.5.1] take(1) joins each stream, lists media and html, and drops logs", () => {
  const buffer = filled(out("a"), err("x"), out("b"), { kind: "media", type: "t", data: [1, null] }, {
    kind: "html",
    text: "h",
  }, { kind: "log", text: "l" });
  assert.deepEqual(buffer.take(1), { stdout: "ab", stderr: "x", media: [["t", [1, null]]], html: ["h"] });
});

Deno.test("[06-7.5.1] take() of nothing is empty in the form of the version", () => {
  assert.deepEqual(new ConsoleBuffer().take(1), { stdout: "", stderr: "", media: [], html: [] });
  for (const version of [2, 3, 4, 9]) assert.deepEqual(new ConsoleBuffer().take(version), { console: [] });
  assert.deepEqual(filled(out(""), err("")).take(2), { console: [] });
});

Deno.test("[06-D-A6] take() refuses an unusable API version and loses nothing", () => {
  const buffer = filled(out("a"));
  for (const version of [0, -1, 1.5, NaN, Infinity]) assert.throws(() => buffer.take(version), InvalidField);
  assert.deepEqual(items(buffer), [["stdout", "a"]]);
});

Deno.test("[06-7.3] take() delivers a character split over records intact, also over two takes", () => {
  const [first = 0, second = 0, third = 0] = encode("한");
  const buffer = filled(out("a"), raw(first, second));
  assert.deepEqual(items(buffer), [["stdout", "a"]]);
  buffer.push(err("-"));
  buffer.push(raw(third));
  assert.deepEqual(items(buffer), [["stderr", "-"], ["stdout", "한"]]);
});

Deno.test("[06-7.3] take() replaces invalid sequences, as incremental decoding does", () => {
  assert.deepEqual(items(filled(raw(0x61, 0xff, 0x62), raw(0xed), raw(0xa0, 0x63))), [[
    "stdout",
    "a\ufffdb\ufffd\ufffdc",
  ]]);
  assert.deepEqual(items(filled(raw(0xef, 0xbb, 0xbf, 0x61))), [["stdout", "\ufeffa"]]);
});

Deno.test("[06-7.3] resetDecoders() discards incomplete characters of both streams", () => {
  const buffer = filled(raw(0xed, 0x95), { kind: "stderr", data: Uint8Array.of(0xc3) });
  buffer.resetDecoders();
  buffer.push(raw(0x9c));
  buffer.push(err("!"));
  assert.deepEqual(items(buffer), [["stdout", "\ufffd"], ["stderr", "!"]]);
});

Deno.test("take() loses nothing of a record beyond 10 MiB", () => {
  const data = new Uint8Array(11 * 2 ** 20).fill(0x61);
  const [[, text] = ["", ""]] = items(filled({ kind: "stdout", data }));
  assert.equal(text, "a".repeat(data.length));
});

Deno.test("[06-D-A3] bytes counts payload and items, and is 0 after a take", () => {
  const buffer = filled(out("abc"), out("d"), err("é"), { kind: "html", text: "한" });
  assert.equal(buffer.bytes, 4 + 2 + 3 + 3 * ENTRY_BYTES);
  buffer.push({ kind: "media", type: "t", data: "xyz" });
  assert.equal(buffer.bytes, 4 + 2 + 3 + 4 + 4 * ENTRY_BYTES);
  buffer.take(2);
  assert.equal(buffer.bytes, 0);
});

Deno.test("bytes leaves out the incomplete character of an item that has ended", () => {
  assert.equal(filled(raw(0x61, 0xc3), err("x")).bytes, 2 + 2 * ENTRY_BYTES);
  assert.equal(filled(raw(0xc3), err("x")).bytes, 1 + ENTRY_BYTES);
});

Deno.test("[06-D-A3] discard() drops all and leaves one marker with the sum of what it dropped", () => {
  const buffer = filled(out("12345"), err("67"));
  buffer.discard();
  assert.equal(buffer.bytes, 0);
  buffer.push(out("890"));
  buffer.discard();
  buffer.push(out("end"));
  const [marker, rest, ...more] = items(buffer);
  assert.deepEqual([rest, more], [["stdout", "end"], []]);
  assert.equal(marker?.[0], "stderr");
  assert.match(String(marker?.[1]), /\b10 bytes\b.*\n$/);
  assert.deepEqual(items(buffer), []);
});

Deno.test("[06-D-R2] push() leaves out rich output that no reply could carry, and says so", () => {
  const nested = (levels: number) => JSON.parse("[".repeat(levels) + "]".repeat(levels));
  const buffer = filled({ kind: "media", type: "t", data: nested(20) }, {
    kind: "media",
    type: "t",
    data: nested(50_000),
  });
  const [first, second, ...more] = items(buffer);
  assert.deepEqual([first, second?.[0], more], [["media", ["t", nested(20)]], "stderr", []]);
});

Deno.test("push() of very many small records costs about their size", () => {
  const buffer = new ConsoleBuffer();
  for (let i = 0; i < 200_000; i++) buffer.push(raw(0x61 + i % 26));
  assert.equal(buffer.bytes, 200_000 + ENTRY_BYTES);
  const [[, text] = ["", ""], ...more] = items(buffer);
  assert.deepEqual([String(text).length, more], [200_000, []]);
});

const chunk = fc.oneof(
  fc.constantFrom("a", "é", "한", "😀", "\r\n", "").map(encode),
  fc.constantFrom([0xed], [0x95, 0x9c], [0xf0, 0x9f], [0xff], [0xc3], [0xa9], [0xe0, 0x80]).map((b) =>
    Uint8Array.from(b)
  ),
  fc.uint8Array({ maxLength: 6 }),
);
const record: fc.Arbitrary<OutputRecord> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constantFrom("stdout" as const, "stderr" as const), data: chunk }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("html" as const, "log" as const), text: fc.string() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("media" as const), type: fc.string(), data: fc.jsonValue() }) },
);
const operation = fc.oneof(
  { weight: 8, arbitrary: fc.record({ push: record }) },
  { weight: 1, arbitrary: fc.constantFrom("take" as const, "detach" as const, "reset" as const) },
);

Deno.test("ConsoleBuffer gives what incremental decoders and plain merging give, for any records in any pieces", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const buffer = new ConsoleBuffer();
      const model = new PlainConsole();
      for (const operation of operations) {
        if (operation === "take") assert.deepEqual(items(buffer), model.take());
        else if (operation === "detach") assert.deepEqual(items(buffer.detach()), model.take());
        else if (operation === "reset") [buffer.resetDecoders(), model.reset()];
        else [buffer.push(operation.push), model.push(operation.push)];
      }
      assert.deepEqual(items(buffer), model.take());
      assert.equal(buffer.bytes, 0);
    }),
    { numRuns: 1000 },
  );
});

/** The obvious way: decode every record at once, append text to text. */
class PlainConsole {
  #items: ConsoleItem[] = [];
  #decoders = PlainConsole.#fresh();

  push(record: OutputRecord) {
    if (record.kind === "media") this.#items.push(["media", [record.type, record.data]]);
    else if ("text" in record) this.#items.push([record.kind, record.text]);
    else {
      const text = this.#decoders[record.kind].decode(record.data, { stream: true });
      const last = this.#items.at(-1);
      if (text === "") return;
      if (last?.[0] === record.kind) this.#items[this.#items.length - 1] = [record.kind, `${last[1]}${text}`];
      else this.#items.push([record.kind, text]);
    }
  }

  reset() {
    this.#decoders = PlainConsole.#fresh();
  }

  take(): ConsoleItem[] {
    return this.#items.splice(0);
  }

  static #fresh() {
    return {
      stdout: new TextDecoder("utf-8", { ignoreBOM: true }),
      stderr: new TextDecoder("utf-8", { ignoreBOM: true }),
    };
  }
}

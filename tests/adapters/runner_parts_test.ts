import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { ConsoleCopy } from "../../src/runner/console_copy.ts";
import { type DriverFrame, DriverFrameReader, encodeDriverFrame } from "../../src/runner/driver_frames.ts";
import { parseEnviron, userEnvironment } from "../../src/runner/environment.ts";
import { MARKER_START, MarkerScanner } from "../../src/runner/marker_scanner.ts";
import { parseOptions } from "../../src/runner/options.ts";
import { withoutOwnFrames } from "../../src/runner/script/evaluator.ts";
import { moduleToScript } from "../../src/runner/script/module_syntax.ts";

/** Cuts bytes at arbitrary places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...at, bytes.length].map((end, i) => bytes.slice(at[i - 1] ?? 0, end));
}
const places = fc.array(fc.nat(10_000), { maxLength: 8 });

Deno.test("MarkerScanner finds every marker and changes nothing else, however the stream is cut", () => {
  const marker = Uint8Array.from({ length: 32 }, (_, i) => i === 0 ? MARKER_START : i);
  // Output that likes to begin like the marker.
  const output = fc.array(fc.oneof(fc.constant(MARKER_START), fc.nat(255), fc.integer({ min: 1, max: 3 })), {
    maxLength: 60,
  });
  fc.assert(fc.property(fc.array(output, { minLength: 1, maxLength: 5 }), places, (outputs, at) => {
    const stream = Buffer.concat(
      outputs.flatMap((one, i) => i === 0 ? [Buffer.from(one)] : [marker, Buffer.from(one)]),
    );
    const scanner = new MarkerScanner(marker);
    const pieces: number[][] = [[]];
    for (const chunk of cut(stream, at)) {
      for (const [i, piece] of scanner.push(chunk).entries()) {
        if (i > 0) pieces.push([]);
        pieces.at(-1)?.push(...piece);
      }
    }
    pieces.at(-1)?.push(...scanner.end());
    assert.deepEqual(pieces, outputs);
  }));
});

Deno.test("DriverFrameReader gives frames as they were encoded, however the stream is cut", () => {
  const frame = fc.record({ kind: fc.constantFrom("R", "I", "D"), payload: fc.uint8Array({ maxLength: 40 }) });
  fc.assert(fc.property(fc.array(frame, { maxLength: 6 }), places, (frames, at) => {
    const stream = Buffer.concat(frames.map(({ kind, payload }) => encodeDriverFrame(kind, payload)));
    const reader = new DriverFrameReader(1024);
    const got: DriverFrame[] = cut(stream, at).flatMap((chunk) => reader.push(chunk));
    const plain = (one: DriverFrame) => [one.kind, ...one.payload];
    assert.deepEqual(got.map(plain), frames.map(plain));
  }));
});

Deno.test("DriverFrameReader refuses a frame that cannot be meant", () => {
  assert.throws(() => new DriverFrameReader(16).push(encodeDriverFrame("D", new Uint8Array(17))), RangeError);
});

Deno.test("[08 §17] parseEnviron() skips a bad line and only that", () => {
  assert.deepEqual(parseEnviron("A=1\nno variable\n=x\nB=x=y\nC=\n"), { A: "1", B: "x=y", C: "" });
});

Deno.test("[07 §10] userEnvironment() fills gaps, lets the session win, and leaves the runner out", () => {
  const own = {
    PATH: "/opt/backend.ai/bin:/image/bin",
    HOME: "/root",
    TERM: "dumb",
    LD_LIBRARY_PATH: "/opt/backend.ai/lib",
    DENO_DIR: "/opt/backend.ai/cache",
    DENO_NO_UPDATE_CHECK: "1",
    DENO_DISABLE_NODE_SHIM: "1",
  };
  const facts = { own, environText: "LANG=ko_KR.UTF-8", home: "/home/work", shell: "/bin/ash" };
  assert.deepEqual(userEnvironment(facts), {
    PATH: "/image/bin",
    HOME: "/home/work",
    TERM: "dumb",
    LANG: "ko_KR.UTF-8",
    USER: "work",
    SHELL: "/bin/ash",
  });
  const bare = userEnvironment({ own: {}, environText: "HOME=/elsewhere", home: "/home/work", shell: undefined });
  assert.equal(bare["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  assert.equal(bare["HOME"], "/elsewhere");
  assert.equal(bare["SHELL"], undefined);
  const image = userEnvironment({ own: { DENO_DIR: "/deno-dir" }, environText: "", home: "/", shell: undefined });
  assert.equal(image["DENO_DIR"], "/deno-dir");
});

const BASE = "file:///home/work/";
for (
  const [code, script] of [
    ["1 + 1", "1 + 1"],
    ['import "./a.ts"', 'void (await import("file:///home/work/a.ts"));'],
    ['import a from "x"', 'const { default: a } = await import("x");'],
    ['import { a, b as c, "d e" as f } from "x"', 'const { a: a, b: c, "d e": f } = await import("x");'],
    ['import * as ns from "x"', 'const ns = await import("x");'],
    ['import a, * as ns from "x"', 'const ns = await import("x"), { default: a } = ns;'],
    [
      'import j from "../j.json" with { type: "json" }',
      'const { default: j } = await import("file:///home/j.json", { with: { type: "json" } });',
    ],
    ["import {\n  a,\n} from 'x'; a", "const { a: a } = await import('x');\n\n a"],
    ["export const a = 1", "const a = 1"],
    ["export default function f() {}", "function f() {}"],
    ["export default { a: 1 }", "({ a: 1 });"],
    ["const a = 1; export { a }", "const a = 1; ;"],
    ['export * from "x"', 'void (await import("x"));'],
    ['const m = import("./a.ts")', 'const m = import("file:///home/work/a.ts")'],
    ['"import x from y"', '"import x from y"'],
    ["import broken", "import broken"],
  ] as const
) {
  Deno.test(`moduleToScript() of ${code}`, () => assert.equal(moduleToScript(code, BASE), script));
}

Deno.test("withoutOwnFrames() leaves what follows the frames", () => {
  const own = "    at Session.post (ext:deno_node/inspector.js:1:3010)\n    at file:///driver.mjs:1:1";
  assert.equal(withoutOwnFrames(`Error: a\n    at <anonymous>:1:1\n${own}`), "Error: a\n    at <anonymous>:1:1");
  assert.equal(
    withoutOwnFrames(`Error: a\n    at <anonymous>:1:1\n${own} {\n  code: 5\n}`),
    "Error: a\n    at <anonymous>:1:1 {\n  code: 5\n}",
  );
  assert.equal(withoutOwnFrames("plain\n  text"), "plain\n  text");
});

Deno.test("ConsoleCopy takes a burst, leaves a flood out with a line, and never waits", async () => {
  const written: string[] = [];
  let nowMs = 0;
  const sink = {
    write(bytes: Uint8Array): Promise<number> {
      written.push(new TextDecoder().decode(bytes));
      return Promise.resolve(bytes.length);
    },
  };
  const copy = new ConsoleCopy({ stdout: sink, stderr: sink }, () => nowMs);
  const chunk = new Uint8Array(64 * 1024).fill(0x61);
  for (let i = 0; i < 100; i++) copy.copy("stdout", chunk);
  nowMs = 1_000;
  copy.note("later");
  for (let turns = 0; turns < 100 && written.length < 6; turns++) await Promise.resolve();
  assert.deepEqual(written.map((text) => text.length), [65536, 65536, 65536, 65536, 26, 21]);
  assert.equal(written[4], "[6291456 bytes not shown]\n");
  assert.match(written[5] ?? "", /^kernel-runner: later\n$/);
});

Deno.test("[07 §1] parseOptions() takes type and path, and needs a type", () => {
  const { runtimeType, runtimePath, commandPort, host } = parseOptions(["python", "/usr/bin/python3"]);
  assert.deepEqual([runtimeType, runtimePath, commandPort, host], ["python", "/usr/bin/python3", 2000, "*"]);
  assert.equal(parseOptions(["--command-port", "5", "typescript"]).commandPort, 5);
  assert.throws(() => parseOptions([]), /runtime type/);
  assert.throws(() => parseOptions(["--message-port", "x", "c"]), /message-port/);
});

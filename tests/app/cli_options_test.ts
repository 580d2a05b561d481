import assert from "node:assert/strict";
import {
  amountOption,
  assignmentOption,
  endpointOption,
  kernelIdOption,
  secondsOption,
  sizeOption,
} from "../../src/cli/options.ts";
import { parseEngineEndpoint } from "../../src/cli/local_image.ts";
import { readCreated, readLogs, readRun } from "../../src/cli/replies.ts";
import { withoutErased } from "../../src/cli/terminal.ts";

Deno.test("options are read or refused with a reason", () => {
  assert.equal(kernelIdOption("11111111222243338444555555555555"), "11111111-2222-4333-8444-555555555555");
  assert.equal(sizeOption("256m"), 256n << 20n);
  assert.equal(endpointOption("tcp://127.0.0.1:6001"), "tcp://127.0.0.1:6001");
  assert.equal(endpointOption("tcp://[::1]:6001"), "tcp://[::1]:6001");
  assert.equal(secondsOption("1.5"), 1.5);
  assert.equal(amountOption("0.5"), "0.5");
  assert.deepEqual(assignmentOption("A=b=c", { B: "1" }), { B: "1", A: "b=c" });
  const refused: readonly (() => unknown)[] = [
    () => kernelIdOption("kernel"),
    () => sizeOption("much"),
    () => endpointOption("127.0.0.1:6001"),
    () => secondsOption("-1"),
    () => amountOption("two"),
    () => assignmentOption("novalue", {}),
  ];
  for (const read of refused) assert.throws(read, { code: "commander.invalidArgument" });
});

Deno.test("parseEngineEndpoint() takes what DOCKER_HOST may name", () => {
  assert.deepEqual(parseEngineEndpoint("unix:///run/docker.sock"), { socketPath: "/run/docker.sock" });
  assert.deepEqual(parseEngineEndpoint("tcp://127.0.0.1:2375"), { host: "127.0.0.1", port: 2375 });
  assert.deepEqual(parseEngineEndpoint("tcp://[::1]:2375"), { host: "::1", port: 2375 });
  assert.throws(() => parseEngineEndpoint("ssh://host"), /expected unix/);
});

Deno.test("replies of an unknown form are refused, never guessed", () => {
  for (const reply of [undefined, 1, "x", [], {}, { status: 1 }, { runId: "r", status: "finished", console: ["x"] }]) {
    assert.throws(() => readRun(reply), /is not understood/);
  }
  assert.throws(() => readCreated({ id: 1 }), /is not understood/);
  assert.throws(() => readLogs({ logs: null }), /is not understood/);
});

Deno.test("withoutErased() applies backspaces", () => {
  assert.equal(withoutErased("ab\x7fc"), "ac");
  assert.equal(withoutErased("\x7f\bx"), "x");
});

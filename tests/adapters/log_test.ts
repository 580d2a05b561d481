import assert from "node:assert/strict";
import { formatRecord, type TextRecord, type TextStyle } from "../../adapters/log/format.ts";
import { ConsoleLog } from "../../adapters/log/console_log.ts";
import { standaloneDefaults } from "../../config/load.ts";
import type { LoggingConfig, LogLevelName } from "../../config/schema.ts";
import { InsufficientSlots, RuntimeUnavailable } from "../../domain/errors.ts";
import { logContract } from "../contract/log.ts";

const DEFAULTS = standaloneDefaults({ cwd: "/", home: undefined, uid: 0, environment: {} }).logging;

interface Change {
  readonly level?: LogLevelName;
  readonly pkgNs?: Record<string, LogLevelName>;
  readonly drivers?: LoggingConfig["drivers"];
  readonly format?: "simple" | "verbose";
}

function open(change: Change, output: { write?: (text: string) => void; isTerminal?: boolean } = {}, name?: string) {
  const lines: string[] = [];
  const config: LoggingConfig = {
    ...DEFAULTS,
    level: change.level ?? DEFAULTS.level,
    pkgNs: new Map(Object.entries(change.pkgNs ?? {})),
    drivers: change.drivers ?? DEFAULTS.drivers,
    console: { colored: true, format: change.format ?? "simple" },
  };
  const write = output.write ?? ((text: string) => void lines.push(text));
  const log = new ConsoleLog(config, { write, isTerminal: output.isTerminal ?? false, pid: 42 }, name);
  return { lines, log };
}

const PORT_LEVELS: Record<string, string> = { DEBUG: "debug", INFO: "info", WARNING: "warn", ERROR: "error" };

// deno-lint-ignore require-await
logContract("ConsoleLog", async () => {
  const { lines, log } = open({ level: "NOTSET" });
  return {
    log,
    records: () => lines.map((text) => ({ level: PORT_LEVELS[text.split(" ")[0] ?? ""] ?? "", text })),
    // deno-lint-ignore require-await
    async [Symbol.asyncDispose]() {
      log[Symbol.dispose]();
    },
  };
});

const LEVEL_CASES: [level: LogLevelName, pkgNs: Record<string, LogLevelName>, logger: string, expected: string[]][] = [
  ["INFO", {}, "ai.backend.agent", ["INFO", "WARNING", "ERROR"]],
  ["INFO", { "": "WARNING", "ai.backend": "INFO" }, "ai.backend.agent", ["INFO", "WARNING", "ERROR"]],
  ["INFO", { "": "WARNING", "ai.backend": "INFO" }, "other", ["WARNING", "ERROR"]],
  ["INFO", { "": "ERROR", "ai.backend": "DEBUG" }, "ai.backend.agent", ["INFO", "WARNING", "ERROR"]],
  ["DEBUG", { "": "ERROR", "ai.backend": "DEBUG" }, "ai.backend", ["DEBUG", "INFO", "WARNING", "ERROR"]],
  ["DEBUG", { "": "DEBUG", "ai.backend": "CRITICAL" }, "ai.backend.agent", []],
  ["NOTSET", { "ai.backend.agent.rpc": "ERROR" }, "ai.backend.agent", ["DEBUG", "INFO", "WARNING", "ERROR"]],
];
for (const [level, pkgNs, logger, expected] of LEVEL_CASES) {
  Deno.test(`ConsoleLog at ${level} with ${JSON.stringify(pkgNs)} lets "${logger}" write ${expected}`, () => {
    const { lines, log } = open({ level, pkgNs }, {}, logger);
    using _log = log;
    for (const name of ["debug", "info", "warn", "error"] as const) log[name]("x");
    assert.deepEqual(lines.map((line) => line.split(" ")[0]), expected);
  });
}

Deno.test("ConsoleLog survives an output that fails", () => {
  const { log } = open({}, {
    write: () => {
      throw new Deno.errors.BrokenPipe("closed");
    },
  });
  using _log = log;
  log.error("x");
});

Deno.test("ConsoleLog says which drivers are not available, and goes on with the console", () => {
  const { lines, log } = open({ drivers: ["file", "logstash", "file"] });
  using _log = log;
  log.info("x");
  assert.deepEqual(lines, [
    "WARNING log driver is not available yet; using the console driver=file\n",
    "WARNING log driver is not available yet; using the console driver=logstash\n",
    "INFO x\n",
  ]);
});

const STYLE: TextStyle = { format: "simple", colored: false, pid: 42 };

function format(fields: Record<string, unknown>, style: Partial<TextStyle> = {}, message = "it happened"): string {
  const record: TextRecord = { timeMs: 0, level: "WARNING", logger: "ai.backend.agent", message, fields };
  return formatRecord(record, { ...STYLE, ...style });
}

Deno.test("formatRecord() writes both formats of 05 §5.2", () => {
  assert.equal(format({}), "WARNING it happened\n");
  assert.equal(
    format({}, { format: "verbose" }),
    "1970-01-01T00:00:00.000Z WARNING ai.backend.agent [42] it happened\n",
  );
  assert.equal(format({}, { colored: true }), "\x1b[33mWARNING\x1b[0m it happened\n");
});

Deno.test("formatRecord() writes fields as key=value, quoted where that is needed", () => {
  const fields = {
    image: "a/b:1",
    text: 'a "b"',
    n: 1,
    big: 2n,
    flag: true,
    no: undefined,
    list: [1, 2n],
    map: new Map([["k", 1]]),
  };
  assert.equal(
    format(fields),
    'WARNING it happened image=a/b:1 text="a \\"b\\"" n=1 big="2" flag=true list=[1,"2"] map={"k":1}\n',
  );
});

Deno.test("formatRecord() gives no value a line or an escape sequence of its own", () => {
  const text = format({ name: "a\nERROR forged", esc: "\x1b[2J" }, {}, "multi\nline");
  assert.equal(text.split("\n").length, 2);
  assert.ok(!text.includes("\x1b"));
});

Deno.test("formatRecord() prints a failure with a meaning without, a bug with its stack", () => {
  const known = format({
    error: new RuntimeUnavailable("unix:///x", { cause: new InsufficientSlots("cpu", "cpu", 2n, 1n) }),
  });
  assert.equal(
    known,
    "WARNING it happened\n" +
      '  error: RuntimeUnavailable: Cannot reach the container engine at "unix:///x"\n' +
      '    caused by: InsufficientSlots: Cannot allocate 2 of slot "cpu": 1 free\n',
  );
  assert.match(format({ error: new TypeError("bug") }), /error: TypeError: bug\n +at .*log_test\.ts/);
});

Deno.test("formatRecord() prints every error of an aggregate and of a failed clean-up", () => {
  const text = format({
    a: new AggregateError([new Error("one"), "two"]),
    b: new SuppressedError(new Error("three"), new Error("four")),
  });
  for (const word of ["one", "two", "three", "four"]) assert.ok(text.includes(word), word);
});

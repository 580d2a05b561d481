import assert from "node:assert/strict";
import type { Log } from "../../src/ports/log.ts";
import { type ContractCase, registerContract } from "./contract_case.ts";

export interface LogHarness extends AsyncDisposable {
  readonly log: Log;
  /** What was logged, in order, as text; levels are those of the port. */
  records(): readonly { readonly level: string; readonly text: string }[];
}

export function logContract(name: string, make: () => Promise<LogHarness>): void {
  registerContract(LOG_CASES, name, make);
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

function unprintable(): Record<string, unknown> {
  const circle: Record<string, unknown> = { big: 10n };
  circle["self"] = circle;
  return {
    circle,
    symbol: Symbol("s"),
    proxy: new Proxy({}, {
      get: () => {
        throw new Error("not to be read");
      },
    }),
    get trap(): string {
      throw new Error("not to be read");
    },
    nothing: undefined,
    call: () => 1,
  };
}

export const LOG_CASES: readonly ContractCase<LogHarness>[] = [
  ...LEVELS.map((level): ContractCase<LogHarness> => ({
    name: `${level}() records message and fields at its level`,
    async run(make) {
      await using harness = await make();
      harness.log[level]("image pull failed", { image: "python:3.11", attempt: 2, size: 5n });
      const [record, ...rest] = harness.records();
      assert.equal(record?.level, level);
      assert.deepEqual(rest, []);
      for (const part of ["image pull failed", "python:3.11", "attempt", "2", "5"]) {
        assert.ok(record.text.includes(part), record.text);
      }
    },
  })),
  {
    name: "records come in the order of the calls",
    async run(make) {
      await using harness = await make();
      for (let i = 0; i < 20; i++) harness.log.info(`message ${String.fromCharCode(65 + i)}`);
      const letters = harness.records().map(({ text }) => /message ([A-T])/.exec(text)?.[1]);
      assert.equal(letters.join(""), "ABCDEFGHIJKLMNOPQRST");
    },
  },
  {
    name: "a message without fields is recorded",
    async run(make) {
      await using harness = await make();
      harness.log.info("agent ready");
      assert.equal(harness.records().length, 1);
    },
  },
  {
    name: "the message is taken as it is, not as a template",
    async run(make) {
      await using harness = await make();
      harness.log.info("{value} 100% %s", { value: "replaced" });
      assert.ok(harness.records()[0]?.text.includes("{value} 100% %s"));
    },
  },
  {
    name: "an Error is printed with its chain of causes",
    async run(make) {
      await using harness = await make();
      const root = new Error("connection refused");
      const middle = new TypeError("request failed", { cause: root });
      harness.log.warn("heartbeat failed", { err: new Error("store is gone", { cause: middle }) });
      for (const part of ["store is gone", "request failed", "connection refused"]) {
        assert.ok(harness.records()[0]?.text.includes(part), part);
      }
    },
  },
  {
    name: "nothing that is logged makes it throw",
    async run(make) {
      await using harness = await make();
      const circular = new Error("a");
      circular.cause = circular;
      for (const level of LEVELS) {
        harness.log[level]("odd", unprintable());
        harness.log[level]("odd", { circular });
      }
      assert.equal(harness.records().length, 8);
    },
  },
];

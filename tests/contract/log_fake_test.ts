import assert from "node:assert/strict";
import { inspect } from "node:util";
import { MemoryLog } from "../../adapters/fake/log.ts";
import type { LogFields } from "../../src/ports/log.ts";
import { failingCases } from "./contract_case.ts";
import { LOG_CASES, logContract, type LogHarness } from "./log.ts";

// deno-lint-ignore require-await
async function harnessOf(log: MemoryLog): Promise<LogHarness> {
  return {
    log,
    records: () =>
      log.entries.map(({ level, message, fields }) => ({
        level,
        text: `${message} ${inspect(fields, { depth: 10 })}`,
      })),
    async [Symbol.asyncDispose]() {},
  };
}

logContract("MemoryLog", () => harnessOf(new MemoryLog()));

class DropsFields extends MemoryLog {
  override warn(message: string): void {
    super.warn(message);
  }
}

class ReadsFields extends MemoryLog {
  override error(message: string, fields: LogFields = {}): void {
    super.error(message, { ...fields });
  }
}

class WrongLevel extends MemoryLog {
  override debug(message: string, fields?: LogFields): void {
    super.info(message, fields);
  }
}

for (const Mutation of [DropsFields, ReadsFields, WrongLevel]) {
  Deno.test(`logContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(LOG_CASES, () => harnessOf(new Mutation())), []);
  });
}

import assert from "node:assert/strict";
import { FakeUsageMeter } from "../../adapters/fake/usage_meter.ts";
import type { ContainerId, KernelId } from "../../domain/ids.ts";
import type { KernelUsage, NodeUsage } from "../../domain/stats/metrics.ts";
import { failingCases } from "./contract_case.ts";
import { CONTAINER, USAGE_METER_CASES, usageMeterContract, type UsageMeterHarness } from "./usage_meter.ts";

// deno-lint-ignore require-await
async function harnessOf(meter: FakeUsageMeter): Promise<UsageMeterHarness> {
  return {
    meter,
    // deno-lint-ignore require-await
    async use(usage) {
      meter.kernels.set(CONTAINER, usage);
    },
    // deno-lint-ignore require-await
    async hide(counter) {
      const { [counter]: _hidden, ...rest } = meter.kernels.get(CONTAINER) ?? {};
      meter.kernels.set(CONTAINER, rest);
    },
    async [Symbol.asyncDispose]() {},
  };
}

usageMeterContract("FakeUsageMeter", () => harnessOf(new FakeUsageMeter()));

class MissingIsZero extends FakeUsageMeter {
  override async kernel(id: KernelId, container: ContainerId, signal: AbortSignal): Promise<KernelUsage | undefined> {
    const nothing = { cpuNs: 0n, memoryBytes: 0n, ioReadBytes: 0n, ioWriteBytes: 0n, scratchBytes: 0n };
    const known = this.kernels.get(container);
    return known === undefined ? await super.kernel(id, container, signal) : { ...nothing, ...known };
  }
}

class RoundsLargeCounters extends FakeUsageMeter {
  override async kernel(id: KernelId, container: ContainerId, signal: AbortSignal): Promise<KernelUsage | undefined> {
    const usage = await super.kernel(id, container, signal);
    return usage && { ...usage, cpuNs: BigInt(Math.fround(Number(usage.cpuNs))) };
  }
}

class MoreUsedThanThereIs extends FakeUsageMeter {
  override async node(signal: AbortSignal): Promise<NodeUsage> {
    const usage = await super.node(signal);
    return { ...usage, memoryUsedBytes: usage.memoryTotalBytes + 1n };
  }
}

for (const Mutation of [MissingIsZero, RoundsLargeCounters, MoreUsedThanThereIs]) {
  Deno.test(`usageMeterContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(USAGE_METER_CASES, () => harnessOf(new Mutation())), []);
  });
}

import assert from "node:assert/strict";
import { type ContainerId, type KernelId, parseContainerId, parseKernelId } from "../../domain/ids.ts";
import type { KernelUsage } from "../../domain/stats/metrics.ts";
import type { UsageMeter } from "../../src/ports/usage_meter.ts";
import { type ContractCase, registerContract } from "./contract_case.ts";

export interface UsageMeterHarness extends AsyncDisposable {
  readonly meter: UsageMeter;
  /** Makes {@linkcode CONTAINER} have used this much. */
  use(usage: KernelUsage): Promise<void>;
  /** Makes one counter of it unreadable. */
  hide(counter: keyof KernelUsage): Promise<void>;
}

export function usageMeterContract(name: string, make: () => Promise<UsageMeterHarness>): void {
  registerContract(USAGE_METER_CASES, name, make);
}

export const KERNEL: KernelId = parseKernelId("dbda8c0d-a5ff-4071-8d62-fb2faf0ec088");
export const CONTAINER: ContainerId = parseContainerId("4f".repeat(32));
const OTHER = parseContainerId("5e".repeat(32));

const USAGE: KernelUsage = {
  cpuNs: 9_007_199_254_741_000n, // not exact as a number; whole microseconds, which is all that some hosts count
  memoryBytes: 73_400_320n,
  ioReadBytes: 8_192_000n,
  ioWriteBytes: 0n,
  scratchBytes: 12_345n,
};
const COUNTERS = Object.keys(USAGE) as (keyof KernelUsage)[]; // of an object literal of that type
const signal = new AbortController().signal;
const reason = new Error("no longer wanted");

export const USAGE_METER_CASES: readonly ContractCase<UsageMeterHarness>[] = [
  {
    name: "node() gives every counter of this host",
    async run(make) {
      await using harness = await make();
      const usage = await harness.meter.node(signal);
      assert.ok(usage.cpuMs.length > 0 && usage.cpuMs.every((ms) => Number.isFinite(ms) && ms >= 0));
      assert.ok(usage.memoryUsedBytes > 0n && usage.memoryUsedBytes <= usage.memoryTotalBytes);
      assert.ok(usage.netReceivedBytes >= 0n && usage.netSentBytes >= 0n);
      for (const [device, { usedBytes, totalBytes }] of usage.disks) {
        assert.notEqual(device, "");
        assert.ok(usedBytes >= 0n && usedBytes <= totalBytes);
      }
    },
  },
  {
    name: "node() rejects with the reason if the signal is aborted",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.meter.node(AbortSignal.abort(reason)), reason);
    },
  },
  {
    name: "kernel() gives every counter exactly",
    async run(make) {
      await using harness = await make();
      await harness.use(USAGE);
      assert.deepEqual(await harness.meter.kernel(KERNEL, CONTAINER, signal), USAGE);
    },
  },
  {
    name: "kernel() is undefined for a container that does not run",
    async run(make) {
      await using harness = await make();
      await harness.use(USAGE);
      assert.equal(await harness.meter.kernel(KERNEL, OTHER, signal), undefined);
    },
  },
  ...COUNTERS.map((counter): ContractCase<UsageMeterHarness> => ({
    name: `kernel() is undefined, not partial, if ${counter} cannot be read`,
    async run(make) {
      await using harness = await make();
      await harness.use(USAGE);
      await harness.hide(counter);
      assert.equal(await harness.meter.kernel(KERNEL, CONTAINER, signal), undefined);
    },
  })),
  {
    name: "kernel() rejects with the reason if the signal is aborted",
    async run(make) {
      await using harness = await make();
      await harness.use(USAGE);
      await assert.rejects(harness.meter.kernel(KERNEL, CONTAINER, AbortSignal.abort(reason)), reason);
    },
  },
];

import assert from "node:assert/strict";
import { FaultPlan } from "../../adapters/fake/fault_plan.ts";
import { FakeScratchStore } from "../../adapters/fake/scratch_store.ts";
import type { KernelId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_request.ts";
import { failingCases } from "./contract_case.ts";
import { SCRATCH_STORE_CASES, type ScratchHarness, scratchStoreContract } from "./scratch_store.ts";

// deno-lint-ignore require-await
async function harnessOf(make: (faults: FaultPlan) => FakeScratchStore): Promise<ScratchHarness> {
  const faults = new FaultPlan();
  const store = make(faults);
  return {
    store,
    config: async (kernelId, name) => await store.kernels.get(kernelId)?.config.get(name),
    configNames: async (kernelId) => await [...store.kernels.get(kernelId)?.config.keys() ?? []],
    // deno-lint-ignore require-await
    async damageRecord(kernelId) {
      delete store.kernels.get(kernelId)?.record; // in memory it can only be lost
    },
    reopen: () => new FakeScratchStore(new FaultPlan(), store.kernels),
    // deno-lint-ignore require-await
    async failNextCreate() {
      faults.add("create", new Error("disk full"));
      return { async [Symbol.asyncDispose]() {} };
    },
    async [Symbol.asyncDispose]() {},
  };
}

scratchStoreContract("FakeScratchStore", () => harnessOf((faults) => new FakeScratchStore(faults)));

class OverwritesOnCreate extends FakeScratchStore {
  override create(...args: Parameters<FakeScratchStore["create"]>): ReturnType<FakeScratchStore["create"]> {
    this.kernels.delete(args[0]);
    return super.create(...args);
  }
}

class ForgetsTheRecord extends FakeScratchStore {
  override async writeRecord(record: KernelRecord): Promise<void> {
    await super.writeRecord({ ...record, allocation: new Map() });
  }
}

class FailsOnAbsent extends FakeScratchStore {
  override async remove(kernelId: KernelId): Promise<void> {
    if (!this.kernels.has(kernelId)) throw new Error("absent");
    await super.remove(kernelId);
  }
}

for (const Mutation of [OverwritesOnCreate, ForgetsTheRecord, FailsOnAbsent]) {
  Deno.test(`scratchStoreContract() finds the planted fault ${Mutation.name}`, async () => {
    const make = () => harnessOf((faults) => new Mutation(faults));
    assert.notDeepEqual(await failingCases(SCRATCH_STORE_CASES, make), []);
  });
}

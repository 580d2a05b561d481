import assert from "node:assert/strict";
import { FakeHostFacts } from "../../adapters/fake/host_facts.ts";
import type { HostIdentity } from "../../src/ports/host_facts.ts";
import { failingCases } from "./contract_case.ts";
import { HOST_FACTS_CASES, hostFactsContract, type HostFactsHarness } from "./host_facts.ts";

// deno-lint-ignore require-await
async function harnessOf(make: () => FakeHostFacts): Promise<HostFactsHarness> {
  const host = make();
  const inSilentCloud = make();
  const instanceId = `i-${inSilentCloud.hostname}`;
  inSilentCloud.cloud = { instanceId, instanceType: "unknown", region: "amazon/unknown", address: "127.0.0.1" };
  return {
    host,
    inSilentCloud,
    occupy() {
      host.bound.add("127.0.0.1:30000");
      return { port: 30_000, [Symbol.dispose]: () => void host.bound.clear() };
    },
    async [Symbol.asyncDispose]() {},
  };
}

hostFactsContract("FakeHostFacts", () => harnessOf(() => new FakeHostFacts()));

class IgnoresTheSignal extends FakeHostFacts {
  override identity(_signal: AbortSignal): Promise<HostIdentity> {
    return super.identity(new AbortController().signal);
  }
}

class TakesThePort extends FakeHostFacts {
  override canBind(address: string, port: number): boolean {
    const free = super.canBind(address, port);
    this.bound.add(`${address}:${port}`);
    return free;
  }
}

class ResolvesEverything extends FakeHostFacts {
  override resolve(_name: string): Promise<string | undefined> {
    return Promise.resolve("127.0.0.1");
  }
}

for (const Mutation of [IgnoresTheSignal, TakesThePort, ResolvesEverything]) {
  Deno.test(`hostFactsContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(HOST_FACTS_CASES, () => harnessOf(() => new Mutation())), []);
  });
}

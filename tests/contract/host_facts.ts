import assert from "node:assert/strict";
import type { HostFacts } from "../../src/ports/host_facts.ts";
import { type ContractCase, registerContract, within } from "./contract_case.ts";

export interface HostFactsHarness extends AsyncDisposable {
  readonly host: HostFacts;
  /** The same host, as if it were in a cloud whose metadata service takes requests and never answers. */
  readonly inSilentCloud: HostFacts;
  /** A TCP port of 127.0.0.1, taken until it is disposed of. */
  occupy(): { readonly port: number } & Disposable;
}

export function hostFactsContract(name: string, make: () => Promise<HostFactsHarness>): void {
  registerContract(HOST_FACTS_CASES, name, make);
}

const LIMIT_MS = 10_000;
const signal = new AbortController().signal;
const reason = new Error("no longer wanted");

export const HOST_FACTS_CASES: readonly ContractCase<HostFactsHarness>[] = [
  {
    name: "hostname, uid and gid are there",
    async run(make) {
      await using harness = await make();
      const { hostname, uid, gid } = harness.host;
      assert.notEqual(hostname, "");
      assert.ok(Number.isSafeInteger(uid) && uid >= 0 && Number.isSafeInteger(gid) && gid >= 0);
    },
  },
  {
    name: "machine is the architecture as uname prints it",
    async run(make) {
      await using harness = await make();
      assert.match(harness.host.machine, /^(x86_64|aarch64)$/);
    },
  },
  {
    name: "identity() is named after the host on premise, without an address",
    async run(make) {
      await using harness = await make();
      const { instanceId, instanceType, region, address } = await harness.host.identity(signal);
      assert.deepEqual(
        [instanceId, instanceType, region, address],
        [`i-${harness.host.hostname}`, "default", "local", undefined],
      );
    },
  },
  {
    name: "identity() takes the fallbacks when the cloud's metadata do not come",
    async run(make) {
      await using harness = await make();
      const host = harness.inSilentCloud;
      const { instanceId, instanceType, region, address } = await within(LIMIT_MS, host.identity(signal));
      assert.deepEqual(
        [instanceId, instanceType, region, address],
        [`i-${host.hostname}`, "unknown", "amazon/unknown", "127.0.0.1"],
      );
    },
  },
  {
    name: "identity() rejects with the reason once the signal is aborted",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.host.identity(AbortSignal.abort(reason)), reason);
      await assert.rejects(harness.inSilentCloud.identity(AbortSignal.abort(reason)), reason);
    },
  },
  {
    name: "addresses() has the loopback address, and no address has a prefix length or a zone",
    async run(make) {
      await using harness = await make();
      const addresses = harness.host.addresses();
      assert.ok(addresses.some(({ address }) => address === "127.0.0.1"));
      for (const it of addresses) {
        assert.notEqual(it.interface, "");
        assert.match(it.address, /^[0-9a-f.:]+$/i);
      }
    },
  },
  {
    name: "resolve() gives the IPv4 address of a name",
    async run(make) {
      await using harness = await make();
      assert.equal(await within(LIMIT_MS, harness.host.resolve("localhost")), "127.0.0.1");
    },
  },
  {
    name: "resolve() is undefined for a name that does not resolve",
    async run(make) {
      await using harness = await make();
      assert.equal(await within(LIMIT_MS, harness.host.resolve("no-such-host.invalid")), undefined);
    },
  },
  {
    name: "canBind() tells whether a port could be bound at this moment",
    async run(make) {
      await using harness = await make();
      const taken = harness.occupy();
      assert.equal(harness.host.canBind("127.0.0.1", taken.port), false);
      assert.equal(harness.host.canBind("127.0.0.1", taken.port), false);
      taken[Symbol.dispose]();
      assert.equal(harness.host.canBind("127.0.0.1", taken.port), true);
      assert.equal(harness.host.canBind("127.0.0.1", taken.port), true, "asking does not take it");
    },
  },
  {
    name: "canBind() is false for an address that is not this host's",
    async run(make) {
      await using harness = await make();
      const { port } = harness.occupy();
      assert.equal(harness.host.canBind("203.0.113.7", port), false);
    },
  },
];

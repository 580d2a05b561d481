import type { HostFacts, HostIdentity, InterfaceAddress } from "../../src/ports/host_facts.ts";
import { FaultPlan } from "./fault_plan.ts";

/** {@linkcode HostFacts} of a machine that does not exist. Operation of the plan: `identity`. */
export class FakeHostFacts implements HostFacts {
  hostname = "worker1";
  machine = "x86_64";
  uid = 0;
  gid = 0;
  cloud: HostIdentity | undefined;
  interfaces: readonly InterfaceAddress[] = [{ interface: "lo", address: "127.0.0.1" }];
  readonly names = new Map<string, string>([["localhost", "127.0.0.1"]]);
  /** `address:port` of what other programs have bound. */
  readonly bound = new Set<string>();
  readonly #faults: FaultPlan;

  constructor(faults = new FaultPlan()) {
    this.#faults = faults;
  }

  // deno-lint-ignore require-await -- asynchronous like the real one, so that faults reject
  async identity(signal: AbortSignal): Promise<HostIdentity> {
    signal.throwIfAborted();
    this.#faults.next("identity");
    const instanceId = `i-${this.hostname}`;
    return this.cloud ?? { instanceId, instanceType: "default", region: "local", address: undefined };
  }

  addresses(): readonly InterfaceAddress[] {
    return this.interfaces;
  }

  resolve(name: string): Promise<string | undefined> {
    return Promise.resolve(this.names.get(name));
  }

  canBind(address: string, port: number): boolean {
    return port >= 1 && port <= 65_535 && this.interfaces.some((it) => it.address === address) &&
      !this.bound.has(`${address}:${port}`);
  }
}

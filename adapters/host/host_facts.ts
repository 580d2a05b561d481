import { lookup } from "node:dns/promises";
import type { HostFacts, HostIdentity, InterfaceAddress } from "../../src/ports/host_facts.ts";
import { cloudIdentity, detectCloud, type FetchText, onPremiseIdentity } from "./cloud_identity.ts";

const RESOLVE_LIMIT_MS = 5_000;

export interface SystemHostOptions {
  /** Region of a host that is in no known cloud; without it `BACKEND_REGION`, else `local`. */
  readonly region?: string | undefined;
  /** Stands before the absolute paths that tell which cloud this is. */
  readonly fileRoot?: string;
  readonly fetchText?: FetchText;
}

/** {@linkcode HostFacts} of the machine this process runs on. */
export class SystemHost implements HostFacts {
  readonly hostname = Deno.hostname();
  /** Deno names x86_64 and aarch64 as `uname` does. */
  readonly machine: string = Deno.build.arch;
  readonly uid = Deno.uid() ?? 0;
  readonly gid = Deno.gid() ?? 0;
  readonly #region: string | undefined;
  readonly #fileRoot: string;
  readonly #fetchText: FetchText;

  constructor(options: SystemHostOptions = {}) {
    this.#region = options.region ?? Deno.env.get("BACKEND_REGION");
    this.#fileRoot = options.fileRoot ?? "";
    this.#fetchText = options.fetchText ?? fetchText;
  }

  async identity(signal: AbortSignal): Promise<HostIdentity> {
    signal.throwIfAborted();
    const cloud = detectCloud((path) => readText(this.#fileRoot + path));
    if (cloud === undefined) return onPremiseIdentity(this.hostname, this.#region);
    return await cloudIdentity(cloud, { hostname: this.hostname, fetchText: this.#fetchText }, signal);
  }

  addresses(): readonly InterfaceAddress[] {
    return Deno.networkInterfaces().map(({ name, address }) => {
      return { interface: name, address: address.replace(/%.*$/, "") };
    });
  }

  /** By the system's resolver, so that the hosts file counts; given up after 5 s. */
  async resolve(name: string): Promise<string | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), RESOLVE_LIMIT_MS);
    });
    try {
      return await Promise.race([limit, lookup(name, { family: 4 }).then(({ address }) => address, () => undefined)]);
    } finally {
      clearTimeout(timer);
    }
  }

  canBind(address: string, port: number): boolean {
    try {
      Deno.listen({ hostname: address, port }).close();
      return true;
    } catch {
      return false; // taken, not ours, or not allowed: whatever it is, nobody can bind it now
    }
  }
}

const fetchText: FetchText = async (url, headers, signal) => {
  const response = await fetch(url, { headers, signal });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return text;
};

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // absent on most machines, and readable for root only on some
  }
}

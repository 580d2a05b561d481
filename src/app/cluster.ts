import { StartFailed } from "../../domain/errors.ts";
import { addressInSubnet } from "../../domain/net/address.ts";
import type { ConfigStore, ConfigTree } from "../ports/config_store.ts";
import type { HostFacts } from "../ports/host_facts.ts";

/** Addresses under which the manager reaches this agent and its kernels. */
export interface NodeAddresses {
  readonly rpcHost: string;
  readonly kernelHost: string;
}

/** What the configuration leaves open is blank. */
export interface AddressWishes {
  readonly rpcHost: string;
  readonly kernelHost: string;
}

/** Chooses the addresses that the configuration leaves open. Source: 03 §6.1. @throws {StartFailed} */
export async function resolveAddresses(
  deps: { readonly config: ConfigStore; readonly host: HostFacts; readonly cloudAddress: string | undefined },
  wishes: AddressWishes,
  signal: AbortSignal,
): Promise<NodeAddresses> {
  const rpcHost = wishes.rpcHost !== "" ? wishes.rpcHost : await detectRpcHost(deps, signal);
  const kernelHost = wishes.kernelHost !== ""
    ? wishes.kernelHost
    : await inSubnet(deps, "container", signal) ?? rpcHost;
  return { rpcHost, kernelHost };
}

async function detectRpcHost(deps: Parameters<typeof resolveAddresses>[0], signal: AbortSignal): Promise<string> {
  if (deps.cloudAddress !== undefined) return deps.cloudAddress;
  const key = "config/network/subnet/agent";
  const address = await inSubnet(deps, "agent", signal);
  if (address === null) throw new StartFailed(`no local address lies in the subnet of "${key}"`);
  return address ?? await deps.host.resolve(deps.host.hostname) ?? "127.0.0.1";
}

/** The first local address in a configured subnet: null if there is none in it, undefined if no subnet is configured. */
async function inSubnet(
  { config, host }: Parameters<typeof resolveAddresses>[0],
  name: "agent" | "container",
  signal: AbortSignal,
): Promise<string | null | undefined> {
  const key = `config/network/subnet/${name}`;
  const subnet = await config.get(key, "merged", signal);
  if (subnet === undefined || subnet === "" || subnet.endsWith("/0")) return undefined;
  try {
    return host.addresses().find(({ address }) => addressInSubnet(address, subnet))?.address ?? null;
  } catch (cause) {
    throw new StartFailed(`"${key}" is no subnet`, { cause });
  }
}

/** What the manager has put into the shared configuration for agents. Source: 03 §3. */
export interface ClusterSettings {
  readonly redis: { readonly host: string; readonly port: number; readonly password: string | undefined };
  readonly folders: { readonly base: string; readonly prefix: string };
  /** `HOST:PORT` of the ZeroMQ event socket; undefined if the manager has none. */
  readonly eventAddress: string | undefined;
}

/** Waits for the manager, then reads what it has left for agents. */
export async function readCluster(config: ConfigStore, signal: AbortSignal): Promise<ClusterSettings> {
  await config.waitFor("nodes/manager", signal);
  const redis = await config.getPrefix("config/redis", "merged", signal);
  const base = await config.get("volumes/_mount", "merged", signal) ?? "/mnt";
  const prefix = await config.get("volumes/_fsprefix", "merged", signal) ?? "";
  return {
    redis: redisSettings(redis),
    folders: { base: base.replace(/\/+$/, ""), prefix: prefix.replace(/^\/+|\/+$/g, "") },
    eventAddress: await config.get("nodes/manager/event_addr", "merged", signal),
  };
}

/** Only `addr` and `password` mean something; an empty password is none (03-D3). @throws {StartFailed} */
function redisSettings(tree: ConfigTree): ClusterSettings["redis"] {
  const address = text(tree["addr"]) ?? "127.0.0.1:6379";
  const [, bracketed, plain, digits] = /^(?:\[([^\s[\]]+)\]|([^\s/[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new StartFailed(`"config/redis/addr" is ${JSON.stringify(address)}, expected HOST:PORT`);
  }
  return { host, port, password: text(tree["password"]) || undefined };
}

/** A key's own value, whether or not it has keys below it. */
function text(value: string | ConfigTree | undefined): string | undefined {
  if (value === undefined || typeof value === "string") return value;
  return text(value[""]);
}

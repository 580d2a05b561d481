/** Who this host is according to the cloud it runs in. Source: 03 §6. */
import type { HostIdentity } from "../../src/ports/host_facts.ts";

export type Cloud = "amazon" | "google" | "azure";

/** Gets the text behind a metadata address; rejects for anything but success. */
export type FetchText = (
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<string>;

const REQUEST_LIMIT_MS = 200;

/** Reads a file of this machine; undefined if it cannot be read. */
export type ReadFact = (path: string) => string | undefined;

/** The cloud this machine belongs to, from its firmware and its DHCP lease; undefined on premise. */
export function detectCloud(read: ReadFact): Cloud | undefined {
  const vendor = read("/sys/devices/virtual/dmi/id/board_vendor")?.toLowerCase() ?? "";
  if (vendor.includes("amazon")) return "amazon";
  const bios = read("/sys/devices/virtual/dmi/id/bios_version")?.toLowerCase() ?? "";
  if (bios.includes("google")) return "google";
  if (bios.includes("amazon")) return "amazon";
  const lease = read("/var/lib/dhcp/dhclient.eth0.leases") ?? "";
  return lease.includes("unknown-245") ? "azure" : undefined;
}

export function onPremiseIdentity(hostname: string, region: string | undefined): HostIdentity {
  return { instanceId: `i-${hostname}`, instanceType: "default", region: region || "local", address: undefined };
}

/** Asks the cloud; what it does not answer in time gets the fallback. Rejects only when `signal` is aborted. */
export async function cloudIdentity(
  cloud: Cloud,
  deps: { readonly hostname: string; readonly fetchText: FetchText },
  signal: AbortSignal,
): Promise<HostIdentity> {
  const known = await IDENTITY[cloud](new Metadata(deps.fetchText, signal));
  signal.throwIfAborted();
  return {
    instanceId: known.instanceId || `i-${deps.hostname}`,
    instanceType: known.instanceType || "unknown",
    region: known.region ? `${cloud}/${known.region}` : `${cloud}/unknown`,
    address: known.address || "127.0.0.1",
  };
}

type Known = { readonly [K in "instanceId" | "instanceType" | "region" | "address"]: string | undefined };

const IDENTITY: Readonly<Record<Cloud, (metadata: Metadata) => Promise<Known>>> = {
  async amazon(metadata) {
    const base = "http://169.254.169.254/latest";
    const [instanceId, instanceType, address, document] = await Promise.all([
      metadata.text(`${base}/meta-data/instance-id`),
      metadata.text(`${base}/meta-data/instance-type`),
      metadata.text(`${base}/meta-data/local-ipv4`),
      metadata.json(`${base}/dynamic/instance-identity/document`),
    ]);
    return { instanceId, instanceType, address, region: textAt(document, ["region"]) };
  },

  async google(metadata) {
    const base = "http://metadata.google.internal/computeMetadata/v1/instance";
    const headers = { "Metadata-Flavor": "Google" };
    const [instanceId, instanceType, address, zone] = await Promise.all([
      metadata.text(`${base}/id`, headers),
      metadata.text(`${base}/machine-type`, headers),
      metadata.text(`${base}/network-interfaces/0/ip`, headers),
      metadata.text(`${base}/zone`, headers),
    ]);
    return { instanceId, instanceType, address, region: zone?.replace(/-[^-]*$/, "") };
  },

  async azure(metadata) {
    const url = "http://169.254.169.254/metadata/instance?version=2017-03-01";
    const document = await metadata.json(url, { Metadata: "true" });
    return {
      instanceId: textAt(document, ["compute", "vmId"]),
      instanceType: textAt(document, ["compute", "vmSize"]),
      region: textAt(document, ["compute", "location"]),
      address: textAt(document, ["network", "interface", 0, "ipv4", "ipaddress", 0, "ipaddress"]),
    };
  },
};

/** One host's metadata service; what it does not give is undefined. */
class Metadata {
  readonly #fetchText: FetchText;
  readonly #signal: AbortSignal;

  constructor(fetchText: FetchText, signal: AbortSignal) {
    this.#fetchText = fetchText;
    this.#signal = signal;
  }

  async text(url: string, headers: Readonly<Record<string, string>> = {}): Promise<string | undefined> {
    try {
      const limit = AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_LIMIT_MS)]);
      const text = (await this.#fetchText(url, headers, limit)).trim();
      return /^[\x21-\x7e]+$|^\{[^]*\}$/.test(text) ? text : undefined;
    } catch {
      return undefined; // not there, or too slow: the fallback stands for every reason
    }
  }

  async json(url: string, headers?: Readonly<Record<string, string>>): Promise<unknown> {
    try {
      return JSON.parse(await this.text(url, headers) ?? "null");
    } catch {
      return undefined;
    }
  }
}

function textAt(document: unknown, path: readonly (string | number)[]): string | undefined {
  let value = document;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return typeof value === "string" ? value : undefined;
}

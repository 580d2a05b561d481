/** IP addresses as text, and the subnets they belong to. */
import { InvalidField } from "../errors.ts";

/** An address as one number, and how many bits it has. */
interface IpAddress {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

/**
 * Whether `address` (IPv4 or IPv6, with or without a zone) lies in `subnet` (CIDR notation; host bits may be set). An
 * address that is none, or of the other family, lies in no subnet.
 * @throws {InvalidField} if `subnet` is no subnet.
 */
export function addressInSubnet(address: string, subnet: string): boolean {
  const [, network = "", lengthText = ""] = /^([^/]+)\/(\d{1,3})$/.exec(subnet.trim()) ?? [];
  const base = parseIpAddress(network);
  const length = Number(lengthText);
  if (base === undefined || length > base.bits) {
    throw new InvalidField("subnet", 'a subnet such as "10.0.0.0/8" or "fd00::/8"', subnet);
  }
  const candidate = parseIpAddress(address.replace(/%.*$/, ""));
  if (candidate?.bits !== base.bits) return false;
  const hostBits = BigInt(base.bits - length);
  return candidate.value >> hostBits === base.value >> hostBits;
}

function parseIpAddress(text: string): IpAddress | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): IpAddress | undefined {
  const parts = text.split(".");
  const isValid = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
  if (!isValid) return undefined;
  return { bits: 32, value: parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n) };
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = withHexTail(text)?.split("::") ?? [];
  if (halves.length < 1 || halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => half === "" ? [] : half.split(":"));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...tail];
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  return { bits: 128, value: groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n) };
}

/** `::ffff:10.0.0.1` with its last two groups in hex. */
function withHexTail(text: string): string | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted === null) return text;
  const v4 = parseIpv4(dotted[2] ?? "");
  return v4 && `${dotted[1]}${(v4.value >> 16n).toString(16)}:${(v4.value & 0xffffn).toString(16)}`;
}

/** Events and heartbeats as the manager reads them. Source: 02. No I/O. */
import { encode } from "@msgpack/msgpack";
import { compress } from "snappyjs";
import { isManagerReadableTag } from "../../domain/image/image_ref.ts";
import type { AgentEvent, AgentInfo, LocalImage } from "../../domain/kernel/events.ts";
import { formatAmount } from "../../domain/resource/slots.ts";

/** The number of arguments is part of the wire format: the manager's handlers take them by position (02 §1). */
export interface EncodedEvent {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** As a manager 19.09.5 takes it. Source: 02 §3. */
export function encodeEvent(event: AgentEvent): EncodedEvent {
  switch (event.kind) {
    case "instance_started":
    case "instance_terminated":
      return { name: event.kind, args: [event.reason] };
    case "kernel_preparing":
    case "kernel_creating":
    case "kernel_started":
    case "kernel_stat_sync":
      return { name: event.kind, args: [event.kernelId] };
    case "kernel_pulling":
      return { name: event.kind, args: [event.kernelId, event.image] };
    case "kernel_terminated":
      return { name: event.kind, args: [event.kernelId, event.reason, event.exitCode] };
    default:
      return event satisfies never;
  }
}

/** As the managers with a ZeroMQ event port take it: their `instance_started` has no argument. Source: 02 §2. */
export function encodeLegacyEvent(event: AgentEvent): EncodedEvent {
  return event.kind === "instance_started" ? { name: event.kind, args: [] } : encodeEvent(event);
}

export function encodeHeartbeat(info: AgentInfo): EncodedEvent {
  return { name: "instance_heartbeat", args: [agentInfoMap(info)] };
}

/** Source: 02 §4. */
function agentInfoMap(info: AgentInfo): Readonly<Record<string, unknown>> {
  const slots = [...info.slots].map(([name, { unit, amount }]) => [name, [unit, formatAmount(amount, unit)]]);
  return {
    ip: info.host,
    region: info.region,
    scaling_group: info.scalingGroup,
    addr: `tcp://${info.host.includes(":") ? `[${info.host}]` : info.host}:${info.port}`,
    resource_slots: Object.fromEntries(slots),
    version: info.version,
    compute_plugins: info.computePlugins,
    images: encodeImages(info.images),
  };
}

/** Tags that would fail the manager's whole image index are left out (02-D13). Source: 02 §4.1. */
export function encodeImages(images: readonly LocalImage[]): Uint8Array {
  const readable = images.filter(({ tag }) => isManagerReadableTag(tag));
  return compress(encode(readable.map(({ tag, id }) => [tag, id])));
}

/** The tags that {@linkcode encodeImages} leaves out. */
export function unreadableTags(images: readonly LocalImage[]): readonly string[] {
  return images.map(({ tag }) => tag).filter((tag) => !isManagerReadableTag(tag));
}

/** The payload of the Redis transport. Source: 02 §1. */
export function encodeEnvelope(agentId: string, { name, args }: EncodedEvent): Uint8Array {
  return encode({ event_name: name, agent_id: agentId, args });
}

/** Text is msgpack `str` and bytes are `bin`, as the manager tells them apart. Source: 02 §1, §2. */
export function encodeArgs(args: readonly unknown[]): Uint8Array {
  return encode(args);
}

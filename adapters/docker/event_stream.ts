import { parseContainerId } from "../../domain/ids.ts";
import type { ContainerDeath } from "../../src/ports/container_runtime.ts";
import { kernelIdOf } from "./container_reply.ts";
import { AGENT_LABEL, filters } from "./labels.ts";
import type { ReplyValue } from "./reply.ts";

/** Query of `GET /events` for the deaths of an agent's containers since an engine time. */
export function deathsQuery(agentId: string, since: string): Record<string, string> {
  return { since, ...filters({ type: ["container"], event: ["die"], label: [`${AGENT_LABEL}=${agentId}`] }) };
}

/**
 * A death, from one message of `GET /events`; undefined for any other event and for a container without a readable kernel
 * id. The labels are among the actor's attributes. Source: Engine API, EventMessage.
 */
export function decodeDeath(message: ReplyValue): ContainerDeath | undefined {
  if (message.at("Type").unknown !== "container" || message.at("Action").unknown !== "die") return undefined;
  const attributes = message.at("Actor").at("Attributes");
  const kernelId = kernelIdOf(attributes);
  if (kernelId === undefined) return undefined;
  const exitCode = attributes.texts.get("exitCode") ?? "";
  return {
    id: parseContainerId(message.at("Actor").at("ID").unknown),
    kernelId,
    exitCode: /^-?\d{1,10}$/.test(exitCode) ? Number(exitCode) : null,
  };
}

/**
 * The engine's clock, as its `since` parameter takes it: `seconds.nanoseconds`. From `SystemTime` of `GET /info`, which is
 * RFC 3339 with up to nine decimals and the engine's time zone.
 */
export function decodeEngineTime(info: ReplyValue): string {
  const [, whole = "", fraction = "", zone = ""] = /^(.{19})(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/
    .exec(info.at("SystemTime").text) ?? [];
  const seconds = Date.parse(`${whole}${zone}`) / 1000;
  return Number.isSafeInteger(seconds) ? `${seconds}.${fraction.padEnd(9, "0")}` : "0";
}

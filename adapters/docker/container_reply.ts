import { InvalidKernelId } from "../../domain/errors.ts";
import { type ContainerId, type KernelId, parseContainerId, parseKernelId } from "../../domain/ids.ts";
import type {
  ContainerDetails,
  ContainerStatus,
  ContainerSummary,
  EngineFacts,
} from "../../src/ports/container_runtime.ts";
import { AGENT_LABEL, KERNEL_LABEL } from "./labels.ts";
import type { ReplyValue } from "./reply.ts";

/** Reply of `POST /containers/create`. */
export function decodeCreated(reply: ReplyValue): { readonly id: ContainerId; readonly warnings: readonly string[] } {
  return { id: parseContainerId(reply.at("Id").unknown), warnings: reply.at("Warnings").list.map(({ text }) => text) };
}

/** Reply of `GET /info`. */
export function decodeFacts(reply: ReplyValue): EngineFacts {
  return {
    version: reply.at("ServerVersion").text,
    cores: reply.at("NCPU").integer,
    memoryBytes: BigInt(reply.at("MemTotal").integer),
  };
}

/** Reply of `GET /containers/json`. `strange`: containers whose kernel label is missing or no kernel id. */
export function decodeList(
  reply: ReplyValue,
): { readonly kernels: readonly ContainerSummary[]; readonly strange: readonly ContainerId[] } {
  const kernels: ContainerSummary[] = [];
  const strange: ContainerId[] = [];
  for (const item of reply.list) {
    const id = parseContainerId(item.at("Id").unknown);
    const kernelId = kernelIdOf(item.at("Labels"));
    if (kernelId === undefined) strange.push(id);
    else kernels.push({ id, kernelId, status: decodeStatus(item.at("State").text) });
  }
  return { kernels, strange };
}

/** Reply of `GET /containers/{id}/json`, with what only this adapter needs to know. */
export interface Inspection {
  readonly agentId: string | undefined;
  readonly tty: boolean;
  /** Undefined if the container carries no readable kernel id. */
  readonly details: ContainerDetails | undefined;
}

export function decodeInspection(reply: ReplyValue): Inspection {
  const config = reply.at("Config");
  const kernelId = kernelIdOf(config.at("Labels"));
  const status = decodeStatus(reply.at("State").at("Status").text);
  return {
    agentId: config.at("Labels").texts.get(AGENT_LABEL),
    tty: config.at("Tty").flag,
    details: kernelId === undefined ? undefined : {
      id: parseContainerId(reply.at("Id").unknown),
      kernelId,
      status,
      exitCode: status === "dead" ? reply.at("State").at("ExitCode").integer : null,
      hostPorts: decodePorts(reply.at("NetworkSettings").at("Ports")),
    },
  };
}

/**
 * The engine's states. Source: Engine API, ContainerState.Status. One that a later engine may add counts as running,
 * because a container that is wrongly taken for dead would be removed.
 */
function decodeStatus(state: string): ContainerStatus {
  switch (state) {
    case "created":
      return "created";
    case "exited":
    case "dead":
    case "removing":
      return "dead";
    default: // running, paused, restarting
      return "running";
  }
}

/** TCP ports by container port. An exposed port that is not published is null; IPv6 repeats the entry of IPv4. */
function decodePorts(ports: ReplyValue): ReadonlyMap<number, number> {
  const bound = new Map<number, number>();
  for (const [name, bindings] of ports.entries) {
    const containerPort = /^(\d+)\/tcp$/.exec(name)?.[1];
    const hostPort = bindings.list[0]?.at("HostPort").text;
    if (containerPort !== undefined && hostPort !== undefined && /^\d+$/.test(hostPort)) {
      bound.set(Number(containerPort), Number(hostPort));
    }
  }
  return bound;
}

/** Undefined if there is no such label, or not a kernel id in it. */
export function kernelIdOf(labels: ReplyValue): KernelId | undefined {
  try {
    return parseKernelId(labels.texts.get(KERNEL_LABEL));
  } catch (error) {
    if (error instanceof InvalidKernelId) return undefined;
    throw error;
  }
}

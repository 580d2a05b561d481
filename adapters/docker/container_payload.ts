import { InvalidField } from "../../domain/errors.ts";
import type { AgentId } from "../../domain/ids.ts";
import type { ContainerSpec } from "../../src/ports/container_runtime.ts";
import { AGENT_LABEL } from "./labels.ts";

/** Length of one CFS period, µs; the engine's default, and what the original asks for. Source: 04 §9. */
const CPU_PERIOD_US = 100_000;

/**
 * Console output the engine keeps of one container, at most: two files of this size. Without a limit a kernel that prints
 * for ever fills the host's disk.
 */
const LOG_ROTATION = { "max-size": "4m", "max-file": "2" };

/** Body of `POST /containers/create`. Source: 04 §9, 08 §2; Engine API v1.35 to v1.51, ContainerCreate. */
export function encodeCreate(spec: ContainerSpec, agentId: AgentId, network: string): Record<string, unknown> {
  return {
    Image: spec.imageId,
    User: `${spec.uid}:${spec.gid}`,
    Tty: true,
    OpenStdin: true,
    StopSignal: "SIGINT",
    WorkingDir: spec.workdir,
    Entrypoint: spec.command,
    Cmd: [], // else the image's own command becomes arguments of ours
    Env: [...spec.environ].map(([name, value]) => `${name}=${value}`),
    Labels: { ...Object.fromEntries(spec.labels), [AGENT_LABEL]: agentId },
    ExposedPorts: Object.fromEntries(spec.ports.map(({ containerPort }) => [`${containerPort}/tcp`, {}])),
    HostConfig: encodeHostConfig(spec, network),
  };
}

function encodeHostConfig(spec: ContainerSpec, network: string): Record<string, unknown> {
  const memory = exactInteger(spec.memoryBytes, "memoryBytes");
  return {
    Privileged: false,
    Init: true,
    Mounts: spec.mounts.map(({ source, target, readOnly }) => (
      { Type: "bind", Source: source, Target: target, ReadOnly: readOnly, BindOptions: {} }
    )),
    NetworkMode: network,
    PortBindings: encodePortBindings(spec),
    PublishAllPorts: false,
    CpuPeriod: CPU_PERIOD_US,
    CpuQuota: Math.round(spec.cpuQuota * CPU_PERIOD_US),
    CpusetCpus: spec.cores.toSorted((a, b) => a - b).join(","),
    Memory: memory,
    MemorySwap: memory, // the sum of memory and swap: no swap
    ...(spec.shmemBytes > 0n ? { ShmSize: exactInteger(spec.shmemBytes, "shmemBytes") } : {}),
    PidsLimit: spec.pidsLimit,
    // A kernel that the operator runs as root keeps what root in a container usually has.
    ...(spec.uid === 0 ? {} : { CapDrop: ["ALL"] }),
    SecurityOpt: ["no-new-privileges"],
    LogConfig: { Type: "json-file", Config: LOG_ROTATION },
  };
}

function encodePortBindings(spec: ContainerSpec): Record<string, { HostIp: string; HostPort: string }[]> {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { containerPort, hostAddress, hostPort } of spec.ports) {
    (bindings[`${containerPort}/tcp`] ??= []).push({ HostIp: hostAddress, HostPort: String(hostPort) });
  }
  return bindings;
}

/** JSON has no integers beyond 2^53 that every reader keeps exactly. */
function exactInteger(value: bigint, field: string): number {
  const number = Number(value);
  if (value < 0n || !Number.isSafeInteger(number)) {
    throw new InvalidField(field, `an amount from 0 to ${Number.MAX_SAFE_INTEGER}`, value);
  }
  return number;
}

/** What the configuration means on this machine. Pure: the caller brings the facts. */
import { ConfigurationError } from "./errors.ts";
import type { AgentConfig } from "./schema.ts";

/** Facts about the machine that {@linkcode startChecks} compares with. */
export interface StartFacts {
  readonly uid: number;
  readonly os: string;
  /** Text of `/proc/sys/kernel/core_pattern`; undefined if it cannot be read. */
  readonly corePattern: string | undefined;
}

/** @throws {ConfigurationError} if this machine cannot do what the configuration asks for. Source: 05 §4.1. */
export function startChecks(config: AgentConfig, { uid, os, corePattern }: StartFacts): void {
  if (config.container.statsType === "cgroup" && uid !== 0) {
    throw new ConfigurationError("Cannot use cgroup statistics collection mode unless the agent runs as root.");
  }
  if (!config.debug.coredump.enabled) return;
  if (os !== "linux") throw new ConfigurationError("Storing container coredumps is only supported in Linux.");
  if (!corePattern?.startsWith("/")) {
    throw new ConfigurationError(
      "/proc/sys/kernel/core_pattern must be an absolute path to enable container coredumps.",
    );
  }
}

/** The user that runs everything in a kernel: only an explicit 0 gives root. */
export function kernelUser(
  config: AgentConfig,
  agent: { readonly uid: number; readonly gid: number },
): { readonly uid: number; readonly gid: number } {
  const { kernelUid, kernelGid } = config.container;
  const isRoot = agent.uid === 0;
  return {
    uid: kernelUid >= 0 ? kernelUid : isRoot ? 1000 : agent.uid,
    gid: kernelGid >= 0 ? kernelGid : isRoot ? 1000 : agent.gid,
  };
}

/** Ids by name from the text of `/etc/passwd` or `/etc/group`. */
export function accountIds(text: string): ReadonlyMap<string, number> {
  const entries = text.split("\n").map((line) => line.split(":"));
  return new Map(
    entries.flatMap(([name, , id]) => name && id && /^\d+$/.test(id) ? [[name, Number(id)] as const] : []),
  );
}

import type { ContainerId, ImageId, KernelId } from "../../domain/ids.ts";

/** A bind mount. Both paths are absolute. */
export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** One container TCP port reachable on the host. */
export interface PortBinding {
  readonly containerPort: number;
  readonly hostAddress: string;
  readonly hostPort: number;
}

export interface ContainerSpec {
  readonly kernelId: KernelId;
  readonly name: string;
  readonly imageId: ImageId;
  readonly command: readonly string[];
  readonly workdir: string;
  /** User and group of every process in the container, its first included. */
  readonly uid: number;
  readonly gid: number;
  readonly environ: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly mounts: readonly Mount[];
  readonly ports: readonly PortBinding[];
  /** Host cores the container may run on. */
  readonly cores: readonly number[];
  /** CPU time, in cores. */
  readonly cpuQuota: number;
  /** Memory limit without shared memory; there is no swap. */
  readonly memoryBytes: bigint;
  /** Size of `/dev/shm`; 0n leaves the engine's default. */
  readonly shmemBytes: bigint;
  /** Upper bound of processes and threads. */
  readonly pidsLimit: number;
}

/** `created`: not started yet; `running` includes paused and restarting. */
export type ContainerStatus = "created" | "running" | "dead";

export interface ContainerSummary {
  readonly id: ContainerId;
  readonly kernelId: KernelId;
  readonly status: ContainerStatus;
}

export interface ContainerDetails extends ContainerSummary {
  /** Exit code once dead; null before. */
  readonly exitCode: number | null;
  /** Host ports as they are really bound, by container port. */
  readonly hostPorts: ReadonlyMap<number, number>;
}

/** One of this agent's containers died. `exitCode` is null when the engine does not say. */
export interface ContainerDeath {
  readonly id: ContainerId;
  readonly kernelId: KernelId;
  readonly exitCode: number | null;
}

export interface EngineFacts {
  /** The engine's version, e.g. `20.10.24`. */
  readonly version: string;
  /** Cores that containers may use. */
  readonly cores: number;
  /** Physical memory of the host. */
  readonly memoryBytes: bigint;
}

/**
 * Runs kernel containers on one engine. Sees only containers that carry this agent's id. Safe for concurrent calls.
 * Every method throws {@linkcode RuntimeUnavailable} if the engine cannot be reached, {@linkcode RuntimeFailed} if it
 * refuses, and `signal.reason` once `signal` is aborted.
 */
export interface ContainerRuntime {
  /** Facts about the engine and its host. */
  facts(signal: AbortSignal): Promise<EngineFacts>;
  /**
   * Makes sure that the private network exists on which this agent's containers cannot reach each other. Idempotent.
   * {@linkcode create} attaches containers to it.
   */
  ensureNetwork(signal: AbortSignal): Promise<void>;
  /** Removes the private network. Absent, or still used by a container: not an error, nothing happens. */
  removeNetwork(signal: AbortSignal): Promise<void>;
  /**
   * Creates a stopped container. Never pulls. If it rejects, no container is left, except after
   * {@linkcode RuntimeUnavailable} or an abort: then {@linkcode list} finds what there is. An abort therefore takes effect
   * only once the engine has answered.
   * @throws {ImageNotFound} if the image is not on this host.
   */
  create(spec: ContainerSpec, signal: AbortSignal): Promise<ContainerId>;
  /**
   * Starts a created container, and makes its network again should that be missing. Starting a running one is not an error.
   * @throws {ContainerNotFound} if there is no such container.
   */
  start(id: ContainerId, signal: AbortSignal): Promise<void>;
  /**
   * SIGKILL. A container that is dead, never started or absent is not an error. {@linkcode watch} announces the death, before
   * or after this returns.
   */
  kill(id: ContainerId, signal: AbortSignal): Promise<void>;
  /**
   * Removes a container in any state, with its anonymous volumes; it is gone when this returns. An absent container is not an
   * error.
   */
  remove(id: ContainerId, signal: AbortSignal): Promise<void>;
  /** @throws {ContainerNotFound} if there is no such container. */
  inspect(id: ContainerId, signal: AbortSignal): Promise<ContainerDetails>;
  /** Every container of this agent, in any state, in no order. */
  list(signal: AbortSignal): Promise<readonly ContainerSummary[]>;
  /**
   * The last `maxBytes` of what the container wrote to its console, as UTF-8 text; undecodable bytes are replaced.
   * @throws {ContainerNotFound} if there is no such container.
   */
  logs(id: ContainerId, maxBytes: number, signal: AbortSignal): Promise<string>;
  /**
   * Deaths of this agent's containers from the moment `onReady` is called, in the engine's order. Ends by throwing: the
   * caller starts it again, and compares with {@linkcode list} in `onReady` because deaths in between are not repeated.
   */
  watch(onReady: () => void, signal: AbortSignal): AsyncIterable<ContainerDeath>;
}

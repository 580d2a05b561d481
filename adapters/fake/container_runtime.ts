import { ContainerNotFound, ImageNotFound, RuntimeFailed, RuntimeUnavailable } from "../../domain/errors.ts";
import { type AgentId, type ContainerId, type ImageId, parseAgentId, parseContainerId } from "../../domain/ids.ts";
import type {
  ContainerDeath,
  ContainerDetails,
  ContainerRuntime,
  ContainerSpec,
  ContainerStatus,
  ContainerSummary,
  EngineFacts,
} from "../../src/ports/container_runtime.ts";
import { FaultPlan } from "./fault_plan.ts";

export interface FakeContainer {
  readonly id: ContainerId;
  readonly agentId: AgentId;
  readonly spec: ContainerSpec;
  status: ContainerStatus;
  /** Set once dead. */
  exitCode: number | null;
  /** All that it wrote to its console. */
  console: Uint8Array;
}

interface Watcher {
  readonly agentId: AgentId;
  readonly deaths: ContainerDeath[];
  end: Error | undefined;
  wake: () => void;
}

/** What the runtimes of several agents share. */
export class FakeEngine {
  readonly containers = new Map<ContainerId, FakeContainer>();
  /** Agents whose network exists. */
  readonly networks = new Set<AgentId>();
  readonly watchers = new Set<Watcher>();
  /** While false every call fails. */
  reachable = true;
  facts: EngineFacts = { version: "20.10.24", cores: 4, memoryBytes: 8n * 1024n ** 3n };
  #created = 0;

  nextId(): ContainerId {
    this.#created += 1;
    return parseContainerId(this.#created.toString(16).padStart(64, "0"));
  }
}

/**
 * In-memory {@linkcode ContainerRuntime}. Fault operations are the method names; a fault of `watch` comes before
 * `onReady`. Nothing happens in a container unless a test makes it happen.
 */
export class FakeContainerRuntime implements ContainerRuntime {
  readonly engine: FakeEngine;
  readonly agentId: AgentId;
  readonly faults: FaultPlan;
  /** Called after each successful start, as the program in the container would begin. */
  onStart: ((container: FakeContainer) => void) | undefined;
  readonly #images: { has(id: ImageId): boolean };

  /** @param options `images`: what is on this host, e.g. a `Set` or a `FakeImageStore`; everything when left out */
  constructor(
    options: {
      engine?: FakeEngine;
      agentId?: AgentId;
      images?: { has(id: ImageId): boolean };
      faults?: FaultPlan;
      onStart?: (container: FakeContainer) => void;
    } = {},
  ) {
    this.engine = options.engine ?? new FakeEngine();
    this.agentId = options.agentId ?? parseAgentId("i-fake");
    this.faults = options.faults ?? new FaultPlan();
    this.onStart = options.onStart;
    this.#images = options.images ?? { has: () => true };
  }

  /** Every container of the engine, other agents' included. */
  get containers(): Map<ContainerId, FakeContainer> {
    return this.engine.containers;
  }

  /** The program in a running container ends. */
  die(id: ContainerId, exitCode: number): void {
    const container = this.containers.get(id);
    if (container?.status !== "running") return;
    container.status = "dead";
    container.exitCode = exitCode;
    const death = { id, kernelId: container.spec.kernelId, exitCode };
    for (const watcher of this.engine.watchers) {
      if (watcher.agentId !== container.agentId) continue;
      watcher.deaths.push(death);
      watcher.wake();
    }
  }

  /** The program in a container writes to its console. */
  print(id: ContainerId, output: string | Uint8Array): void {
    const container = this.containers.get(id);
    if (container === undefined) return;
    const bytes = typeof output === "string" ? new TextEncoder().encode(output) : output;
    const all = new Uint8Array(container.console.length + bytes.length);
    all.set(container.console);
    all.set(bytes, container.console.length);
    container.console = all;
  }

  /** The engine cuts every event stream off. */
  endWatches(error: Error = unavailable()): void {
    for (const watcher of this.engine.watchers) {
      watcher.end = error;
      watcher.wake();
    }
  }

  async facts(signal: AbortSignal): Promise<EngineFacts> {
    await this.#begin("facts", signal);
    return this.engine.facts;
  }

  async ensureNetwork(signal: AbortSignal): Promise<void> {
    await this.#begin("ensureNetwork", signal);
    this.engine.networks.add(this.agentId);
  }

  async removeNetwork(signal: AbortSignal): Promise<void> {
    await this.#begin("removeNetwork", signal);
    if (this.#own().length === 0) this.engine.networks.delete(this.agentId);
  }

  async create(spec: ContainerSpec, signal: AbortSignal): Promise<ContainerId> {
    await this.#begin("create", signal);
    if (!this.#images.has(spec.imageId)) throw new ImageNotFound(spec.imageId);
    if (this.containers.values().some((other) => other.spec.name === spec.name)) {
      throw new RuntimeFailed("create a container", 409, `Conflict. The name "${spec.name}" is already in use`);
    }
    const id = this.engine.nextId();
    this.containers.set(id, {
      id,
      agentId: this.agentId,
      spec,
      status: "created",
      exitCode: null,
      console: new Uint8Array(),
    });
    return id;
  }

  async start(id: ContainerId, signal: AbortSignal): Promise<void> {
    await this.#begin("start", signal);
    const container = this.#find(id);
    if (container.status === "running") return;
    this.engine.networks.add(this.agentId); // made again should somebody have removed it
    const wanted = new Set(container.spec.ports.map(({ hostPort }) => hostPort));
    const running = [...this.containers.values()].filter(({ status }) => status === "running");
    const taken = running.flatMap(({ spec }) => spec.ports).find(({ hostPort }) => wanted.has(hostPort));
    if (taken !== undefined) {
      throw new RuntimeFailed("start a container", 500, `port ${taken.hostPort} is already allocated`);
    }
    container.status = "running";
    container.exitCode = null;
    this.onStart?.(container);
  }

  async kill(id: ContainerId, signal: AbortSignal): Promise<void> {
    await this.#begin("kill", signal);
    this.die(id, 137);
  }

  async remove(id: ContainerId, signal: AbortSignal): Promise<void> {
    await this.#begin("remove", signal);
    this.die(id, 137);
    this.containers.delete(id);
  }

  async inspect(id: ContainerId, signal: AbortSignal): Promise<ContainerDetails> {
    await this.#begin("inspect", signal);
    const { spec, status, exitCode } = this.#find(id);
    const bound = status === "running" ? spec.ports : [];
    const hostPorts = new Map(bound.map(({ containerPort, hostPort }) => [containerPort, hostPort]));
    return { id, kernelId: spec.kernelId, status, exitCode, hostPorts };
  }

  async list(signal: AbortSignal): Promise<readonly ContainerSummary[]> {
    await this.#begin("list", signal);
    return this.#own().map(({ id, spec, status }) => ({ id, kernelId: spec.kernelId, status }));
  }

  async logs(id: ContainerId, maxBytes: number, signal: AbortSignal): Promise<string> {
    await this.#begin("logs", signal);
    const { console } = this.#find(id);
    return new TextDecoder().decode(console.subarray(Math.max(0, console.length - maxBytes)));
  }

  async *watch(onReady: () => void, signal: AbortSignal): AsyncIterable<ContainerDeath> {
    await this.#begin("watch", signal);
    let awake = Promise.withResolvers<void>();
    const watcher: Watcher = {
      agentId: this.agentId,
      deaths: [],
      end: undefined,
      wake: () => awake.resolve(),
    };
    this.engine.watchers.add(watcher);
    signal.addEventListener("abort", watcher.wake);
    try {
      onReady();
      while (true) {
        signal.throwIfAborted();
        const death = watcher.deaths.shift();
        if (death !== undefined) {
          yield death;
          continue;
        }
        if (watcher.end !== undefined) throw watcher.end;
        await awake.promise;
        awake = Promise.withResolvers();
      }
    } finally {
      signal.removeEventListener("abort", watcher.wake);
      this.engine.watchers.delete(watcher);
    }
  }

  /** What every call does first. Asynchronous, as the real calls are. */
  async #begin(operation: string, signal: AbortSignal): Promise<void> {
    await Promise.resolve();
    signal.throwIfAborted();
    if (!this.engine.reachable) throw unavailable();
    this.faults.next(operation);
  }

  #own(): readonly FakeContainer[] {
    return [...this.containers.values()].filter((container) => this.#isOwn(container));
  }

  /** A container is recognised by its labels, not by what it was created for. */
  #isOwn({ agentId, spec }: FakeContainer): boolean {
    return agentId === this.agentId && spec.labels.get("ai.backend.kernel-id") === spec.kernelId;
  }

  #find(id: ContainerId): FakeContainer {
    const container = this.containers.get(id);
    if (container === undefined || !this.#isOwn(container)) throw new ContainerNotFound(id);
    return container;
  }
}

function unavailable(): RuntimeUnavailable {
  return new RuntimeUnavailable("fake");
}

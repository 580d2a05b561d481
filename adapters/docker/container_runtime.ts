import { ContainerNotFound, ImageNotFound, InvalidField, RuntimeFailed } from "../../domain/errors.ts";
import type { AgentId, ContainerId } from "../../domain/ids.ts";
import type {
  ContainerDeath,
  ContainerDetails,
  ContainerRuntime,
  ContainerSpec,
  ContainerSummary,
  EngineFacts,
} from "../../src/ports/container_runtime.ts";
import type { Log } from "../../src/ports/log.ts";
import { AgentNetwork, isNetworkMissing } from "./agent_network.ts";
import { ByteTail, FrameDecoder } from "./console_log.ts";
import { encodeCreate } from "./container_payload.ts";
import { decodeCreated, decodeFacts, decodeInspection, decodeList, type Inspection } from "./container_reply.ts";
import { type EngineClient, type EngineReply, type EngineRequest, UNCANCELLED } from "./engine_client.ts";
import { deathsQuery, decodeDeath, decodeEngineTime } from "./event_stream.ts";
import { jsonLines } from "./json_lines.ts";
import { AGENT_LABEL, filters } from "./labels.ts";
import { ReplyValue } from "./reply.ts";

/** Longest time for calls in which the engine works on file systems, networks and processes. */
const SLOW_MS = 120_000;

/** {@linkcode ContainerRuntime} over the Docker Engine API, v1.35 to v1.51. */
export class DockerRuntime implements ContainerRuntime {
  readonly #client: EngineClient;
  readonly #agentId: AgentId;
  readonly #log: Log;
  readonly #network: AgentNetwork;
  /** Warnings of the engine that are in the log already; it repeats them at every creation. */
  readonly #warned = new Set<string>();
  /** Containers with our agent id but no kernel id, as of the last list. */
  #strange: ReadonlySet<ContainerId> = new Set();

  constructor(options: { client: EngineClient; agentId: AgentId; log: Log }) {
    this.#client = options.client;
    this.#agentId = options.agentId;
    this.#log = options.log;
    this.#network = new AgentNetwork(options.client, options.agentId);
  }

  async facts(signal: AbortSignal): Promise<EngineFacts> {
    return (await this.#info(signal)).decode(decodeFacts);
  }

  async ensureNetwork(signal: AbortSignal): Promise<void> {
    await this.#network.ensure(signal);
  }

  async removeNetwork(signal: AbortSignal): Promise<void> {
    // The engine itself only minds running containers; one that was not started yet needs the network just as well.
    if ((await this.list(signal)).length > 0) return;
    await this.#network.remove(signal);
  }

  async create(spec: ContainerSpec, signal: AbortSignal): Promise<ContainerId> {
    signal.throwIfAborted();
    // Not cut off: the engine would go on all the same, and the container appear after the caller looked for it.
    const reply = await this.#callOnNetwork({
      attempt: "create a container",
      method: "POST",
      path: "/containers/create",
      query: { name: spec.name },
      json: encodeCreate(spec, this.#agentId, this.#network.name),
      limitMs: SLOW_MS,
    }, UNCANCELLED);
    signal.throwIfAborted();
    if (reply.status === 404) throw new ImageNotFound(spec.imageId);
    if (reply.status !== 201) throw reply.refusal();
    const { id, warnings } = reply.decode(decodeCreated);
    this.#warn(warnings);
    return id;
  }

  async start(id: ContainerId, signal: AbortSignal): Promise<void> {
    const path = `/containers/${id}/start`;
    const reply = await this.#callOnNetwork(
      { attempt: "start a container", method: "POST", path, limitMs: SLOW_MS },
      signal,
    );
    if (reply.status === 204 || reply.status === 304) return;
    throw isContainerMissing(reply) ? new ContainerNotFound(id) : reply.refusal();
  }

  async kill(id: ContainerId, signal: AbortSignal): Promise<void> {
    const reply = await this.#client.call({
      attempt: "kill a container",
      method: "POST",
      path: `/containers/${id}/kill`,
      query: { signal: "SIGKILL" },
      limitMs: SLOW_MS,
    }, signal);
    const isDead = reply.status === 409 && /is not running/i.test(reply.reason);
    if (reply.status !== 204 && !isContainerMissing(reply) && !isDead) throw reply.refusal();
  }

  async remove(id: ContainerId, signal: AbortSignal): Promise<void> {
    const reply = await this.#client.call({
      attempt: "remove a container",
      method: "DELETE",
      path: `/containers/${id}`,
      query: { force: "true", v: "true" }, // 04-D45
      limitMs: SLOW_MS,
    }, signal);
    if (reply.status === 204 || isContainerMissing(reply)) return;
    if (reply.status !== 409 || !/already in progress/i.test(reply.reason)) throw reply.refusal();
    await this.#waitForRemoval(id, signal);
  }

  async inspect(id: ContainerId, signal: AbortSignal): Promise<ContainerDetails> {
    const { details } = await this.#inspect(id, signal);
    if (details === undefined) throw new ContainerNotFound(id);
    return details;
  }

  async list(signal: AbortSignal): Promise<readonly ContainerSummary[]> {
    const reply = await this.#client.call({
      attempt: "list containers",
      method: "GET",
      path: "/containers/json",
      query: { all: "true", ...filters({ label: [`${AGENT_LABEL}=${this.#agentId}`] }) },
    }, signal);
    if (reply.status !== 200) throw reply.refusal();
    const { kernels, strange } = reply.decode(decodeList);
    this.#warnOfStrange(strange);
    return kernels;
  }

  async logs(id: ContainerId, maxBytes: number, signal: AbortSignal): Promise<string> {
    // Engines before API 1.42 do not say in the reply which of the two formats it has.
    const { tty } = await this.#inspect(id, signal);
    await using stream = await this.#client.open({
      attempt: "read a container's console",
      method: "GET",
      path: `/containers/${id}/logs`,
      query: { stdout: "true", stderr: "true" },
    }, signal);
    if (stream.status !== 200) throw notFoundOr(await stream.reply(), id);
    const tail = new ByteTail(maxBytes);
    const frames = new FrameDecoder();
    for await (const chunk of stream.chunks(SLOW_MS)) {
      if (tty) tail.push(chunk);
      else for (const piece of frames.payload(chunk)) tail.push(piece);
    }
    return tail.text();
  }

  async *watch(onReady: () => void, signal: AbortSignal): AsyncIterable<ContainerDeath> {
    // The engine sends the reply's head before it subscribes to its own events: without `since`, a death right after the
    // head is lost.
    const since = (await this.#info(signal)).decode(decodeEngineTime);
    await using stream = await this.#client.open({
      attempt: "watch containers",
      method: "GET",
      path: "/events",
      query: deathsQuery(this.#agentId, since),
    }, signal);
    if (stream.status !== 200) throw (await stream.reply()).refusal();
    onReady();
    // No idle limit: an engine where nothing dies has nothing to say. It ends the stream when it goes.
    for await (const message of this.#messages(stream.chunks())) yield message;
    throw this.#client.lost(new Error("the event stream ended"));
  }

  async *#messages(chunks: AsyncIterable<Uint8Array>): AsyncIterable<ContainerDeath> {
    try {
      for await (const message of jsonLines(chunks)) {
        const death = decodeDeath(new ReplyValue(message, "event"));
        if (death === undefined) this.#log.warn("event without a readable kernel id ignored");
        else yield death;
      }
    } catch (error) {
      if (!(error instanceof SyntaxError) && !(error instanceof InvalidField)) throw error;
      throw new RuntimeFailed("watch containers", 200, `an event that cannot be read: ${error.message}`);
    }
  }

  async #info(signal: AbortSignal): Promise<EngineReply> {
    const reply = await this.#client.call({ attempt: "ask for engine facts", method: "GET", path: "/info" }, signal);
    if (reply.status !== 200) throw reply.refusal();
    return reply;
  }

  /** @throws {ContainerNotFound} also for a container that is not this agent's. */
  async #inspect(id: ContainerId, signal: AbortSignal): Promise<Inspection> {
    const path = `/containers/${id}/json`;
    const reply = await this.#client.call({ attempt: "inspect a container", method: "GET", path }, signal);
    if (reply.status !== 200) throw notFoundOr(reply, id);
    const inspection = reply.decode(decodeInspection);
    if (inspection.agentId !== this.#agentId) throw new ContainerNotFound(id);
    return inspection;
  }

  /** A call that needs the agent's network: should somebody have removed it, it is made again. */
  async #callOnNetwork(request: EngineRequest, signal: AbortSignal): Promise<EngineReply> {
    const reply = await this.#client.call(request, signal);
    if (!isNetworkMissing(reply)) return reply;
    await this.#network.ensure(signal);
    const again = await this.#client.call(request, signal);
    if (isNetworkMissing(again)) throw again.refusal();
    return again;
  }

  /** Waits while another removal of the same container runs, so that what it held is free when we return. */
  async #waitForRemoval(id: ContainerId, signal: AbortSignal): Promise<void> {
    const reply = await this.#client.call({
      attempt: "wait for a container's removal",
      method: "POST",
      path: `/containers/${id}/wait`,
      query: { condition: "removed" },
      limitMs: SLOW_MS,
    }, signal);
    if (reply.status !== 200 && !isContainerMissing(reply)) throw reply.refusal();
  }

  /** Once for each, and again when it was gone meanwhile. */
  #warnOfStrange(containers: readonly ContainerId[]): void {
    for (const containerId of containers) {
      if (!this.#strange.has(containerId)) {
        this.#log.warn("container without a readable kernel id ignored", { containerId });
      }
    }
    this.#strange = new Set(containers);
  }

  #warn(warnings: readonly string[]): void {
    for (const warning of warnings) {
      if (this.#warned.has(warning) || this.#warned.size >= 100) continue;
      this.#warned.add(warning);
      this.#log.warn("the engine warned about a container", { warning });
    }
  }
}

/** `No such container: ID`, as opposed to a network or a program that is missing. */
function isContainerMissing(reply: EngineReply): boolean {
  return reply.status === 404 && /no such container/i.test(reply.reason);
}

function notFoundOr(reply: EngineReply, id: ContainerId): ContainerNotFound | RuntimeFailed {
  return isContainerMissing(reply) ? new ContainerNotFound(id) : reply.refusal();
}

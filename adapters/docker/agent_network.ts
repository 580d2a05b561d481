import { createHash } from "node:crypto";
import { RuntimeFailed } from "../../domain/errors.ts";
import type { AgentId } from "../../domain/ids.ts";
import { type EngineClient, type EngineReply, UNCANCELLED } from "./engine_client.ts";
import { AGENT_LABEL, filters } from "./labels.ts";
import type { ReplyValue } from "./reply.ts";

/** The bridge driver's switch for traffic between the containers of a network. */
const ICC_OPTION = "com.docker.network.bridge.enable_icc";

/** Engine name of an agent's network: readable, and distinct for agent ids that only differ in what a name cannot hold. */
export function networkName(agentId: AgentId): string {
  const readable = agentId.replaceAll(/[^A-Za-z0-9_.-]/g, "-").slice(0, 40);
  return `backendai-${readable}-${createHash("sha256").update(agentId).digest("hex").slice(0, 8)}`;
}

/** The bridge network of one agent, on which containers cannot reach each other. */
export class AgentNetwork {
  readonly name: string;
  readonly #client: EngineClient;
  readonly #agentId: AgentId;
  /** The creation that runs now; its callers share it. */
  #creation: Promise<void> | undefined;

  constructor(client: EngineClient, agentId: AgentId) {
    this.name = networkName(agentId);
    this.#client = client;
    this.#agentId = agentId;
  }

  /**
   * Makes the network unless it exists.
   * @throws {RuntimeFailed} if there is a network of that name which is not this agent's, or lets containers talk.
   */
  async ensure(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // Shared, hence without the signal of any one caller: each call in it has its own deadline.
    this.#creation ??= this.#ensure(UNCANCELLED).finally(() => this.#creation = undefined);
    await unlessAborted(this.#creation, signal);
  }

  /** Removes the network; absent or in use is not an error. */
  async remove(signal: AbortSignal): Promise<void> {
    await this.#delete(this.name, signal);
  }

  async #ensure(signal: AbortSignal): Promise<void> {
    if (await this.#keepOldest(signal)) return;
    const reply = await this.#client.call({
      attempt: "create a network",
      method: "POST",
      path: "/networks/create",
      json: {
        Name: this.name,
        CheckDuplicate: true, // engines before 25 allow several networks of one name without it
        Driver: "bridge",
        Options: { [ICC_OPTION]: "false" },
        Labels: { [AGENT_LABEL]: this.#agentId },
      },
    }, signal);
    if (reply.status !== 201 && reply.status !== 409) throw reply.refusal();
    // Even so the engine checks and creates in two steps: two agents at once (an old one that still ends, and its
    // successor) can both succeed, and then the name is ambiguous. The last to look sees both; all keep the same one.
    if (!await this.#keepOldest(signal)) throw reply.refusal();
  }

  /** Whether the network exists. Of several, the oldest stays and the others go. */
  async #keepOldest(signal: AbortSignal): Promise<boolean> {
    const reply = await this.#client.call({
      attempt: "list networks",
      method: "GET",
      path: "/networks",
      query: filters({ name: [this.name] }),
    }, signal);
    if (reply.status !== 200) throw reply.refusal();
    const [oldest, ...others] = reply.decode(decodeNetworks).filter(({ name }) => name === this.name)
      .toSorted((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));
    if (oldest === undefined) return false;
    this.#checkPrivate(oldest, reply);
    for (const { id, agentId } of others) {
      if (agentId === this.#agentId) await this.#delete(id, signal);
    }
    return true;
  }

  #checkPrivate(network: NetworkReply, reply: EngineReply): void {
    if (network.agentId === this.#agentId && network.driver === "bridge" && network.icc === "false") return;
    throw new RuntimeFailed(`use network "${this.name}"`, reply.status, "it is not a private network of this agent");
  }

  async #delete(nameOrId: string, signal: AbortSignal): Promise<void> {
    const reply = await this.#client.call(
      { attempt: "remove a network", method: "DELETE", path: `/networks/${encodeURIComponent(nameOrId)}` },
      signal,
    );
    // 403: a running container is attached to it (409 where another removal runs).
    if (![204, 200, 404, 403, 409].includes(reply.status)) throw reply.refusal();
  }
}

export interface NetworkReply {
  readonly id: string;
  readonly name: string;
  readonly createdMs: number;
  readonly driver: string;
  readonly agentId: string | undefined;
  readonly icc: string | undefined;
}

/** Reply of `GET /networks`. */
export function decodeNetworks(reply: ReplyValue): readonly NetworkReply[] {
  return reply.list.map((item) => ({
    id: item.at("Id").text,
    name: item.at("Name").text,
    createdMs: Date.parse(item.at("Created").text),
    driver: item.at("Driver").text,
    agentId: item.at("Labels").texts.get(AGENT_LABEL),
    icc: item.at("Options").texts.get(ICC_OPTION),
  }));
}

/**
 * Whether a refusal says that the container's network is gone, `network NAME not found`, or that there are several,
 * `network NAME is ambiguous`: both are mended by {@linkcode AgentNetwork.ensure}.
 */
export function isNetworkMissing(reply: EngineReply): boolean {
  return (reply.status === 404 && /^network \S+ not found/i.test(reply.reason)) ||
    (reply.status === 400 && /^network \S+ is ambiguous/i.test(reply.reason));
}

/** The outcome of `work`, which goes on when the signal ends the wait for it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

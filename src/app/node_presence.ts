import type { AgentId } from "../../domain/ids.ts";
import type { ConfigStore } from "../ports/config_store.ts";
import type { Presence } from "./run_agent.ts";

/** This node's keys in the shared configuration. Source: 03 §4. */
export class NodePresence implements Presence {
  readonly #store: ConfigStore;
  readonly #node: string;
  readonly #ip: string;
  readonly #watcherPort: number | undefined;

  constructor(deps: { store: ConfigStore; agentId: AgentId; ip: string; watcherPort: number | undefined }) {
    this.#store = deps.store;
    this.#node = `nodes/agents/${deps.agentId}`;
    this.#ip = deps.ip;
    this.#watcherPort = deps.watcherPort;
  }

  async announce(signal: AbortSignal): Promise<void> {
    await this.#store.put(`${this.#node}/ip`, this.#ip, signal);
    if (this.#watcherPort !== undefined) {
      await this.#store.put(`${this.#node}/watcher_port`, String(this.#watcherPort), signal);
    }
    await this.#status("running", signal);
  }

  /** Before anything else of the start. */
  async starting(signal: AbortSignal): Promise<void> {
    await this.#status("starting", signal);
  }

  async withdraw(signal: AbortSignal): Promise<void> {
    await this.#status("terminated", signal);
  }

  /** The key ends in a slash: that is what managers and tools of 19.09 look at. */
  async #status(status: string, signal: AbortSignal): Promise<void> {
    await this.#store.put(`${this.#node}/`, status, signal);
  }
}

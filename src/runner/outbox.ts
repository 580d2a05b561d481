import { encodeMessage } from "../../adapters/runner/protocol.ts";
import type { RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { MessageSocket } from "../ports/message_sockets.ts";

const FULL_BYTES = 8 * 1024 * 1024;
const ROOM_BYTES = 4 * 1024 * 1024;
const LOOK_AGAIN_MS = 5;

/** Everything that leaves for the agent, in order. Bounded by those who produce output: they stop while it is full. */
export class Outbox {
  readonly #socket: MessageSocket;
  #waitForRoom: Promise<void> | undefined;

  constructor(socket: MessageSocket) {
    this.#socket = socket;
  }

  send(message: RunnerMessage): void {
    this.#socket.send(encodeMessage(message));
  }

  /** Whether output should no longer be read; the children then wait in their writes. */
  get full(): boolean {
    return this.#socket.waitingBytes > FULL_BYTES;
  }

  /** Resolves when there is room again: when an agent has taken enough, which may be never. */
  room(): Promise<void> {
    this.#waitForRoom ??= this.#until(ROOM_BYTES).finally(() => this.#waitForRoom = undefined);
    return this.#waitForRoom;
  }

  /** Resolves when nothing waits any more, or after `limitMs`. */
  async flush(limitMs: number): Promise<void> {
    await this.#until(0, performance.now() + limitMs);
  }

  async #until(bytes: number, deadlineMs = Infinity): Promise<void> {
    while (this.#socket.waitingBytes > bytes && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
}

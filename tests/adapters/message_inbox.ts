import type { Frames, MessageSocket } from "../../src/ports/message_sockets.ts";

const LIMIT_MS = 20_000;

/** What a socket has received, to be waited for. */
export class Inbox {
  readonly #messages: Frames[] = [];
  #received = 0;
  #wake: (() => void) | undefined;

  constructor(socket: MessageSocket, onMessage: (frames: Frames) => void = () => {}) {
    socket.onMessage((frames) => {
      this.#messages.push(frames);
      this.#received++;
      onMessage(frames);
      this.#wake?.();
    });
  }

  /** Messages received so far, those taken included. */
  get received(): number {
    return this.#received;
  }

  /** The next `count` messages, once they are here. */
  async take(count: number): Promise<Frames[]> {
    await this.until(() => this.#messages.length >= count, `${count} messages`);
    return this.#messages.splice(0, count);
  }

  /** The next message as texts. */
  async texts(): Promise<string[]> {
    const [frames = []] = await this.take(1);
    return frames.map((frame) => new TextDecoder().decode(frame));
  }

  /** Waits until `holds` does; looked at after every message. */
  async until(holds: () => boolean, what: string): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not within ${LIMIT_MS} ms: ${what}`)), LIMIT_MS);
    });
    late.catch(() => {}); // awaited below only while something is missing
    try {
      while (!holds()) await Promise.race([late, new Promise<void>((resolve) => this.#wake = resolve)]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Waits until `holds` does, for things that nobody announces. */
export async function eventually(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

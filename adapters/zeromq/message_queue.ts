import type { Frames } from "../../src/ports/message_sockets.ts";

/** What a message costs beside its payload, so that very many empty ones are not free. */
const MESSAGE_BYTES = 64;
/** Taken messages stay in the array until this many have gathered. */
const COMPACT_AT = 1024;

/** First in, first out, with its size in bytes. */
export class MessageQueue {
  #messages: (Frames | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  static sizeOf(frames: Frames): number {
    return frames.reduce((sum, frame) => sum + frame.byteLength, MESSAGE_BYTES);
  }

  get empty(): boolean {
    return this.#head === this.#messages.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws {RangeError} if there is none. */
  get first(): Frames {
    const frames = this.#messages[this.#head];
    if (frames === undefined) throw new RangeError("Cannot take a message: the queue is empty");
    return frames;
  }

  push(frames: Frames): void {
    this.#messages.push(frames);
    this.#bytes += MessageQueue.sizeOf(frames);
  }

  /** @throws {RangeError} if there is none. */
  shift(): Frames {
    const frames = this.first;
    this.#messages[this.#head++] = undefined;
    this.#bytes -= MessageQueue.sizeOf(frames);
    if (this.empty) {
      this.clear();
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
    return frames;
  }

  clear(): void {
    this.#messages = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}

/**
 * The payload of a multiplexed stream, which the engine sends for containers without a terminal: frames of one byte stream
 * number, three zero bytes, a big-endian 32-bit length, and so many bytes. Source: Engine API, ContainerAttach.
 */
export class FrameDecoder {
  #header = new Uint8Array(8);
  #headerBytes = 0;
  #payloadBytes = 0;

  /** The pieces of payload in `chunk`, as views into it. Frames may be cut anywhere. */
  *payload(chunk: Uint8Array): Iterable<Uint8Array> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadBytes === 0) {
        const part = chunk.subarray(at, at + 8 - this.#headerBytes);
        this.#header.set(part, this.#headerBytes);
        this.#headerBytes += part.length;
        at += part.length;
        if (this.#headerBytes < 8) return;
        this.#headerBytes = 0;
        this.#payloadBytes = new DataView(this.#header.buffer).getUint32(4);
        continue;
      }
      const piece = chunk.subarray(at, at + this.#payloadBytes);
      this.#payloadBytes -= piece.length;
      at += piece.length;
      yield piece;
    }
  }
}

/** Keeps the last `capacity` bytes of what is pushed. */
export class ByteTail {
  readonly #ring: Uint8Array;
  /** Bytes pushed in all. */
  #count = 0;

  constructor(capacity: number) {
    this.#ring = new Uint8Array(capacity);
  }

  push(piece: Uint8Array): void {
    const size = this.#ring.length;
    if (size === 0) return;
    const kept = piece.subarray(Math.max(0, piece.length - size));
    const at = (this.#count + piece.length - kept.length) % size;
    const head = kept.subarray(0, size - at);
    this.#ring.set(head, at);
    this.#ring.set(kept.subarray(head.length), 0);
    this.#count += piece.length;
  }

  /** As UTF-8; what cannot be decoded, a character cut at the start included, is replaced. */
  text(): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    if (this.#count <= this.#ring.length) return decoder.decode(this.#ring.subarray(0, this.#count));
    const at = this.#count % this.#ring.length;
    return decoder.decode(this.#ring.subarray(at), { stream: true }) + decoder.decode(this.#ring.subarray(0, at));
  }
}

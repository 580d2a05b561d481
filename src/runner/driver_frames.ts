/**
 * Frames between the runner and an interpreter driver (`python/driver.py`, `script/driver.ts`): one byte of kind, four
 * bytes of length (big-endian), payload. Requests: `R` code, `I` one line of input. Events: `Y` ready (payload: the
 * output marker), `D` done, `P` input wanted (payload: `1` for a password).
 */
export interface DriverFrame {
  readonly kind: string;
  readonly payload: Uint8Array;
}

const HEADER = 5;

export function encodeDriverFrame(kind: string, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + payload.length);
  bytes[0] = kind.charCodeAt(0);
  new DataView(bytes.buffer).setUint32(1, payload.length);
  bytes.set(payload, HEADER);
  return bytes;
}

/** Cuts a byte stream into frames. A frame longer than `maxBytes` throws: the stream is not what it should be. */
export class DriverFrameReader {
  readonly #maxBytes: number;
  #chunks: Uint8Array[] = [];
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): DriverFrame[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const frames: DriverFrame[] = [];
    for (let length = this.#nextLength(); length !== undefined; length = this.#nextLength()) {
      if (length > this.#maxBytes) throw new RangeError(`a frame of ${length} bytes`);
      if (this.#size < HEADER + length) break;
      const bytes = this.#merged();
      frames.push({ kind: String.fromCharCode(bytes[0] ?? 0), payload: bytes.slice(HEADER, HEADER + length) });
      this.#chunks = [bytes.subarray(HEADER + length)];
      this.#size -= HEADER + length;
    }
    return frames;
  }

  #nextLength(): number | undefined {
    if (this.#size < HEADER) return undefined;
    const first = (this.#chunks[0]?.length ?? 0) >= HEADER ? this.#chunks[0] : this.#merged();
    return first === undefined ? undefined : new DataView(first.buffer, first.byteOffset).getUint32(1);
  }

  #merged(): Uint8Array {
    const [first] = this.#chunks;
    if (first !== undefined && this.#chunks.length === 1) return first;
    const bytes = new Uint8Array(this.#size);
    let at = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    this.#chunks = [bytes];
    return bytes;
  }
}

/** First byte of every marker: it never occurs in UTF-8 text, so that the search seldom has to look closer. */
export const MARKER_START = 0xff;

/**
 * Finds the marker that an interpreter driver writes behind the output of a query, also when it is cut in two, and takes
 * it out. Everything else passes unchanged and in order; at most one marker's length is held back.
 */
export class MarkerScanner {
  readonly #marker: Uint8Array;
  #held: Uint8Array = new Uint8Array(0);

  constructor(marker: Uint8Array) {
    if (marker[0] !== MARKER_START || marker.length < 16) throw new RangeError("not a marker");
    this.#marker = marker;
  }

  /** The output in `chunk`, cut at each marker: n markers give n + 1 pieces, some of them perhaps empty. */
  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = this.#held.length === 0 ? chunk : concat(this.#held, chunk);
    this.#held = new Uint8Array(0);
    const pieces: Uint8Array[] = [];
    let from = 0;
    for (let at = bytes.indexOf(MARKER_START); at !== -1; at = bytes.indexOf(MARKER_START, at + 1)) {
      const match = this.#matchAt(bytes, at);
      if (match === "partly") {
        this.#held = bytes.slice(at);
        pieces.push(bytes.subarray(from, at));
        return pieces;
      }
      if (match === "no") continue;
      pieces.push(bytes.subarray(from, at));
      from = at + this.#marker.length;
      at = from - 1;
    }
    pieces.push(bytes.subarray(from));
    return pieces;
  }

  /** What is held back when the stream ends. */
  end(): Uint8Array {
    const held = this.#held;
    this.#held = new Uint8Array(0);
    return held;
  }

  #matchAt(bytes: Uint8Array, at: number): "yes" | "no" | "partly" {
    const end = Math.min(this.#marker.length, bytes.length - at);
    for (let i = 1; i < end; i++) {
      if (bytes[at + i] !== this.#marker[i]) return "no";
    }
    return end === this.#marker.length ? "yes" : "partly";
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

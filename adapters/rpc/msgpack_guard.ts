import { isUtf8 } from "node:buffer";

/**
 * A look at msgpack bytes before they are decoded. A decoder reserves what a header promises, so a few bytes could claim
 * gigabytes; here the promises of all open containers together must be covered by bytes that are really there. And it
 * makes something of text that is not UTF-8, which, echoed, the manager could not read (01 §3).
 */

/** Deeper than any value of the protocol. */
const MAX_DEPTH = 32;
/** More than any value of the protocol has; decoding a million holds up everybody else for tens of milliseconds. */
const MAX_ITEMS = 100_000;

export class MalformedMsgpack extends Error {
  override readonly name = "MalformedMsgpack";
}

/** @throws {MalformedMsgpack} unless `data` is exactly one well-formed value of bounded depth and number of parts. */
export function checkMsgpack(data: Uint8Array): void {
  const reader = new Skimmer(data);
  /** Elements still to come in each open container. */
  const open: number[] = [];
  let promised = 1;
  let items = 0;
  while (promised > 0) {
    if (items++ + promised > MAX_ITEMS) throw new MalformedMsgpack(`more than ${MAX_ITEMS} values in one`);
    if (promised > reader.remaining) throw new MalformedMsgpack("the data ends before the value does");
    promised += reader.skipItem() - 1;
    if (reader.children > 0) {
      if (open.length === MAX_DEPTH) throw new MalformedMsgpack(`nested deeper than ${MAX_DEPTH}`);
      open.push(reader.children);
      continue;
    }
    closeFinished(open);
  }
  if (reader.remaining > 0) throw new MalformedMsgpack("there is data after the value");
}

/** Counts an element as done in its container, and the container in its own when it was the last. */
function closeFinished(open: number[]): void {
  for (let last = open.length - 1; last >= 0; last--) {
    const left = (open[last] ?? 0) - 1;
    open[last] = left;
    if (left > 0) return;
    open.pop();
  }
}

class Skimmer {
  readonly #data: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  /** Elements that the item skipped last contains. */
  children = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get remaining(): number {
    return this.#view.byteLength - this.#at;
  }

  /** Goes past one header and its payload, not its elements; returns how many elements follow. Source: msgpack spec. */
  skipItem(): number {
    const tag = this.#view.getUint8(this.#at++);
    this.children = 0;
    if (tag <= 0x7f || tag >= 0xe0) return 0; // fixint
    if (tag <= 0x8f) return this.children = (tag & 0x0f) * 2; // fixmap
    if (tag <= 0x9f) return this.children = tag & 0x0f; // fixarray
    if (tag <= 0xbf) return this.#skipText(tag & 0x1f); // fixstr
    switch (tag) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return 0;
      case 0xc4: // bin 8, 16, 32
      case 0xc5:
      case 0xc6:
        return this.#skip(this.#length(tag - 0xc4));
      case 0xc7: // ext 8, 16, 32: one byte of type
      case 0xc8:
      case 0xc9:
        return this.#skip(this.#length(tag - 0xc7) + 1);
      case 0xca: // float 32, 64
      case 0xcb:
        return this.#skip(tag === 0xca ? 4 : 8);
      case 0xcc: // uint 8 to 64
      case 0xcd:
      case 0xce:
      case 0xcf:
        return this.#skip(1 << (tag - 0xcc));
      case 0xd0: // int 8 to 64
      case 0xd1:
      case 0xd2:
      case 0xd3:
        return this.#skip(1 << (tag - 0xd0));
      case 0xd4: // fixext 1 to 16
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#skip((1 << (tag - 0xd4)) + 1);
      case 0xd9: // str 8, 16, 32
      case 0xda:
      case 0xdb:
        return this.#skipText(this.#length(tag - 0xd9));
      case 0xdc: // array 16, 32
      case 0xdd:
        return this.children = this.#length(tag - 0xdc + 1);
      case 0xde: // map 16, 32
      case 0xdf:
        return this.children = this.#length(tag - 0xde + 1) * 2;
      default: // 0xc1 is never used
        throw new MalformedMsgpack(`there is no type 0x${tag.toString(16)}`);
    }
  }

  /** A length field of 1, 2 or 4 bytes. */
  #length(sizeLog2: number): number {
    const at = this.#at;
    this.#skip(1 << sizeLog2);
    if (sizeLog2 === 0) return this.#view.getUint8(at);
    return sizeLog2 === 1 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #skipText(bytes: number): 0 {
    const at = this.#at;
    this.#skip(bytes);
    if (!isUtf8(this.#data.subarray(at, this.#at))) throw new MalformedMsgpack("the text is not UTF-8");
    return 0;
  }

  #skip(bytes: number): 0 {
    if (bytes > this.remaining) throw new MalformedMsgpack("the data ends before the value does");
    this.#at += bytes;
    return 0;
  }
}

/** Frames of the aiozmq dialect and back. Pure. Source: 01 §2, §3. */
import { Decoder, Encoder, ExtData, type ExtensionCodecType } from "@msgpack/msgpack";
import type { Frames } from "../../src/ports/message_sockets.ts";
import { checkMsgpack, MalformedMsgpack } from "./msgpack_guard.ts";

const REQUEST_HEADER_BYTES = 16;
const REPLY_HEADER_BYTES = 17;
/** Header, method, arguments, keyword arguments. */
const REQUEST_FRAMES = 4;
/** Extension types under which the original exchanges pickled Python objects: never touched (01-D8). */
const FIRST_PICKLE_TYPE = 123;
const LAST_PICKLE_TYPE = 127;

/** A request whose sender can be answered. */
export interface Request {
  /** Frames that lead the reply back, to be repeated as they are. */
  readonly prefix: Frames;
  readonly id: number;
  /** Undefined: `problem` says what could not be read. */
  readonly call: Call | undefined;
  readonly problem: string;
}

export interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

export type Reply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: ErrorTriple };

/** Qualified class name, constructor arguments, text for humans. Source: 01 §6. */
export type ErrorTriple = readonly [name: string, args: readonly unknown[], repr: string];

/** Who sends: process id and a random number of the connection, both informative. */
export interface Sender {
  readonly pid: number;
  readonly nonce: number;
}

const OPAQUE_EXTENSIONS: ExtensionCodecType<undefined> = {
  tryToEncode: () => null,
  decode(data, type) {
    if (type >= FIRST_PICKLE_TYPE && type <= LAST_PICKLE_TYPE) {
      throw new MalformedMsgpack(`extension type ${type} is a pickled Python object, which is refused`);
    }
    return new ExtData(type, data);
  },
};

const decoder = new Decoder({ useBigInt64: true, extensionCodec: OPAQUE_EXTENSIONS });
const encoder = new Encoder({ useBigInt64: true, ignoreUndefined: true, extensionCodec: OPAQUE_EXTENSIONS });
const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** One msgpack value. @throws {MalformedMsgpack} */
export function decodeValue(data: Uint8Array): unknown {
  checkMsgpack(data);
  try {
    return decoder.decode(data);
  } catch (error) {
    if (error instanceof MalformedMsgpack) throw error;
    throw new MalformedMsgpack(error instanceof Error ? error.message : String(error));
  }
}

/** The bytes are the caller's own. */
export function encodeValue(value: unknown): Uint8Array {
  return encoder.encode(value);
}

/** A message as a ROUTER socket gives it; undefined if nobody could be answered. */
export function decodeRequest(frames: Frames): Request | undefined {
  const headerAt = Math.max(1, frames.length - REQUEST_FRAMES); // the first frame is the sender's identity
  const header = frames[headerAt];
  if (header?.length !== REQUEST_HEADER_BYTES) return undefined;
  const prefix = frames.slice(0, headerAt);
  const id = viewOf(header).getUint32(4, true);
  const [name, args, kwargs] = frames.slice(headerAt + 1);
  if (name === undefined || args === undefined || kwargs === undefined) {
    return { prefix, id, call: undefined, problem: `a request has 4 frames, not ${frames.length - headerAt}` };
  }
  try {
    return { prefix, id, call: decodeCall(name, args, kwargs), problem: "" };
  } catch (error) {
    if (!(error instanceof MalformedMsgpack) && !(error instanceof TypeError)) throw error;
    return { prefix, id, call: undefined, problem: error.message };
  }
}

/** @throws {MalformedMsgpack}, {TypeError} for text that is not UTF-8 */
function decodeCall(name: Uint8Array, args: Uint8Array, kwargs: Uint8Array): Call {
  const method = strictText.decode(name);
  const positional = decodeValue(args);
  const keywords = decodeValue(kwargs);
  if (!Array.isArray(positional)) throw new MalformedMsgpack("the arguments are not an array");
  if (!isMap(keywords)) throw new MalformedMsgpack("the keyword arguments are not a map");
  return { method, args: positional, kwargs: keywords };
}

/** Whether a decoded value was a msgpack map. */
export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Frames of a request as a DEALER socket sends them. @param timeMs wall clock, ms since the epoch */
export function encodeRequest(call: Call, id: number, sender: Sender, timeMs: number): Frames {
  const header = new Uint8Array(REQUEST_HEADER_BYTES);
  writeHeader(header, id, sender, timeMs);
  return [header, utf8.encode(call.method), encodeValue(call.args), encodeValue(call.kwargs)];
}

/** Frames of a reply as a ROUTER socket sends them. @param timeMs wall clock, ms since the epoch */
export function encodeReply(prefix: Frames, reply: Reply, sender: Sender, timeMs: number): Frames {
  const header = new Uint8Array(REPLY_HEADER_BYTES);
  writeHeader(header, reply.id, sender, timeMs);
  header[REPLY_HEADER_BYTES - 1] = reply.ok ? 0 : 1;
  return [...prefix, header, encodeValue(reply.ok ? reply.value : reply.error)];
}

/** A message as a DEALER socket gives it; undefined if it is no reply. @throws {MalformedMsgpack} */
export function decodeReply(frames: Frames): Reply | undefined {
  const [header, body] = frames;
  if (frames.length !== 2 || header?.length !== REPLY_HEADER_BYTES || body === undefined) return undefined;
  const id = viewOf(header).getUint32(4, true);
  const value = decodeValue(body);
  if (header[REPLY_HEADER_BYTES - 1] === 0) return { id, ok: true, value };
  const [name, args, repr] = Array.isArray(value) ? value : [];
  return { id, ok: false, error: [String(name), Array.isArray(args) ? args : [], String(repr)] };
}

function writeHeader(header: Uint8Array, id: number, { pid, nonce }: Sender, timeMs: number): void {
  const view = viewOf(header);
  view.setUint16(0, pid & 0xffff, true);
  view.setUint16(2, nonce & 0xffff, true);
  view.setUint32(4, id, true);
  view.setFloat64(8, timeMs / 1000, true);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

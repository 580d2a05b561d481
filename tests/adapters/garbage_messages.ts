import { encodeRequest, encodeValue } from "../../adapters/rpc/codec.ts";
import type { Frames, MessageSocket } from "../../src/ports/message_sockets.ts";

const MIB = 1024 ** 2;
const HEADER_BYTES = 16;
/** How many of these there are in 10,000 messages. */
const LARGE_ONES = 8;
const WINDOW = 256;
const LIMIT_MS = 30_000;

/** A message that no server can serve, and the id that its one error reply must have; undefined where none can come. */
export interface Garbage {
  readonly frames: Frames;
  readonly id: number | undefined;
}

/** Always the same numbers for the same seed (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

/** `count` messages: random ones, broken requests, pickled objects, false promises, and a few of 2 MiB. */
export function* garbageMessages(count: number, seed: number): Generator<Garbage> {
  const below = numbers(seed);
  const bytes = (length: number) => Uint8Array.from({ length }, () => below(256));
  const large = [
    () => new Uint8Array(2 * MIB).fill(0xc1), // no msgpack
    () => Uint8Array.from({ length: 2 * MIB }, (_, i) => [0xdd, 0, 0x1f, 0xff, 0xfb][i] ?? 0xc0), // two million nulls
    () => Uint8Array.from({ length: 2 * MIB }, (_, i) => [0x91, 0xc6, 0, 0x1f, 0xff, 0xf9][i] ?? 0), // bytes for text
    () => new Uint8Array(2 * MIB).fill(0x91), // very deep
  ];
  const shapes: readonly ((request: Frames) => Frames)[] = [
    () => Array.from({ length: 1 + below(6) }, () => bytes(below(4) === 0 ? HEADER_BYTES : below(300))),
    (request) => truncated(request, below),
    (request) => request.slice(0, 1 + below(3)),
    ([header, name]) => frames(header, name, pickled(123 + below(5), bytes(below(100)))),
    ([header, name]) => frames(header, name, Uint8Array.of(0xdd + 2 * below(2), 0xff, 0xff, 0xff, 0xff)),
    ([header, name]) => frames(header, name, new Uint8Array(1 + below(200)).fill(0x91)),
    ([header, , args]) => frames(header, bytes(1 + below(20)), args),
    ([header, name, args]) => frames(header, name, args, bytes(1 + below(40))),
    ([header, name]) => frames(header, name, encodeValue([{ a: [1.5, null] }])),
  ];
  const every = Math.ceil(count / LARGE_ONES);
  for (let id = 1; id <= count; id++) {
    const request = encodeRequest({ method: "ping", args: ["hello"], kwargs: {} }, id, { pid: 1, nonce: 1 }, 0);
    const makeLarge = id % every === 0 ? large[below(large.length)] : undefined;
    const made = makeLarge === undefined
      ? shapes[below(shapes.length)]?.(request) ?? []
      : frames(request[0], request[1], makeLarge());
    const header = made[Math.max(0, made.length - 4)]; // the server takes the last four frames: 01 §2.1
    const readable = header?.length === HEADER_BYTES;
    if (readable) new DataView(header.buffer, header.byteOffset).setUint32(4, id, true);
    yield { frames: made, id: readable ? id : undefined };
  }
}

function frames(
  header: Uint8Array = new Uint8Array(0),
  name: Uint8Array = new Uint8Array(0),
  args: Uint8Array = new Uint8Array(0),
  kwargs: Uint8Array = Uint8Array.of(0x80),
): Frames {
  return [header, name, args, kwargs];
}

/** At least one byte of the name, the arguments or the keyword arguments is gone. */
function truncated(request: Frames, below: (limit: number) => number): Frames {
  const which = 1 + below(3);
  return request.map((frame, index) => index === which ? frame.subarray(0, below(frame.length)) : frame);
}

/** An array with one object as Python's `pickle` would leave it. */
function pickled(type: number, data: Uint8Array): Uint8Array {
  return Uint8Array.of(0x91, 0xc7, data.length, type, ...data);
}

/** Sends all of it, a window at a time. Returns what was wrong with the answers: nothing, if the server is right. */
export async function throwGarbage(socket: MessageSocket, messages: Iterable<Garbage>): Promise<readonly string[]> {
  const open = new Set<number>();
  const faults: string[] = [];
  let wake = () => {};
  socket.onMessage((reply) => {
    const [header, body] = reply.slice(-2); // in front comes what stood in front of the request's header
    const id = header === undefined ? -1 : new DataView(header.buffer, header.byteOffset).getUint32(4, true);
    if (header?.length !== 17 || header[16] === 0 || body === undefined) faults.push(`reply ${id} is no error`);
    if (!open.delete(id)) faults.push(`reply ${id} was not asked for, or came twice`);
    wake();
  });
  const until = async (most: number) => {
    if (open.size <= most) return;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      wake();
    }, LIMIT_MS);
    while (open.size > most && !late) await new Promise<void>((resolve) => wake = resolve);
    clearTimeout(timer);
    if (late) throw new Error(`${open.size} answers are missing, the first is ${[...open][0]}`);
  };
  let sent = 0;
  for (const { frames, id } of messages) {
    if (id !== undefined) open.add(id);
    socket.send(frames);
    await until(WINDOW);
    if (++sent % WINDOW === 0) await new Promise((resolve) => setTimeout(resolve, 0)); // many have no answer
  }
  await until(0);
  return faults;
}

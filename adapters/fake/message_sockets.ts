import type { Log } from "../../src/ports/log.ts";
import type {
  Frames,
  MessageSocket,
  MessageSockets,
  SocketOptions,
  SocketType,
} from "../../src/ports/message_sockets.ts";
import { FaultPlan } from "./fault_plan.ts";
import { Backlog, codedError, End, type Station, Switchboard } from "./message_switchboard.ts";

const PARTNERS: Readonly<Record<SocketType, readonly SocketType[]>> = {
  router: ["router", "dealer"],
  dealer: ["router", "dealer"],
  push: ["pull"],
  pull: ["push"],
  pair: ["pair"],
};
const DEFAULT_HIGH_WATER_MARK = 1000;

/**
 * {@linkcode MessageSockets} in memory: sockets of one instance reach each other. Everything moves in microtasks; time
 * goes by with {@linkcode FakeMessageSockets.elapse} only. Operations of the fault plan: `open`, `bind`, `connect`.
 */
export class FakeMessageSockets implements MessageSockets {
  readonly #log: Log;
  readonly #faults: FaultPlan;
  readonly #board = new Switchboard<FakeMessageSocket>();
  readonly #lingering = new Set<FakeMessageSocket>();

  constructor(options: { readonly log: Log; readonly faults?: FaultPlan }) {
    this.#log = options.log;
    this.#faults = options.faults ?? new FaultPlan();
  }

  open(type: SocketType, options: SocketOptions): MessageSocket {
    this.#faults.next("open");
    for (const [name, value] of Object.entries(options)) {
      if (!Number.isInteger(value) || value < 0) throw new RangeError(`Cannot open a socket: ${name} is ${value}`);
    }
    return new FakeMessageSocket(type, options, {
      log: this.#log,
      faults: this.#faults,
      board: this.#board,
      lingering: this.#lingering,
    });
  }

  /** An endpoint at which nobody listens. */
  unusedEndpoint(): string {
    return `tcp://127.0.0.1${this.#board.unusedPort()}`;
  }

  /** Lets time go by: sockets closed longer ago than their linger time give up. */
  elapse(ms: number): void {
    for (const socket of this.#lingering) socket.elapse(ms);
  }
}

interface Surroundings {
  readonly log: Log;
  readonly faults: FaultPlan;
  readonly board: Switchboard<FakeMessageSocket>;
  /** Closed ones that still have something to send. */
  readonly lingering: Set<FakeMessageSocket>;
}

class FakeMessageSocket implements MessageSocket, Station<FakeMessageSocket> {
  readonly #type: SocketType;
  readonly #around: Surroundings;
  readonly #queueLimit: number;
  readonly #frameLimit: number;
  readonly #ends: End<FakeMessageSocket>[] = [];
  /** What waits for any peer; of a router see {@linkcode End.backlog}. */
  readonly #backlog = new Backlog();
  #handler: ((frames: Frames) => void) | undefined;
  #paused = false;
  #state: "open" | "closing" | "closed" = "open";
  #lingerMs: number;
  #deliveryPlanned = false;
  #turns = 0;

  constructor(type: SocketType, options: SocketOptions, surroundings: Surroundings) {
    this.#type = type;
    this.#around = surroundings;
    this.#lingerMs = options.lingerMs;
    this.#queueLimit = (options.highWaterMark ?? DEFAULT_HIGH_WATER_MARK) || Infinity;
    this.#frameLimit = options.maxMessageBytes ?? Infinity;
  }

  // async, so that a failure comes as a rejection
  // deno-lint-ignore require-await
  async bind(endpoint: string): Promise<string> {
    this.#around.faults.next("bind");
    this.#check(endpoint, 0);
    return this.#around.board.listen(this, endpoint);
  }

  connect(endpoint: string): void {
    this.#around.faults.next("connect");
    this.#check(endpoint, 1);
    const end = new End<FakeMessageSocket>(this, endpoint);
    this.#ends.push(end);
    this.#around.board.seek(end);
    this.flow();
  }

  #check(endpoint: string, lowestPort: number): void {
    if (this.#state !== "open") throw new Error(`Cannot use "${endpoint}": the socket is closed`);
    const port = Number(/^tcp:\/\/(?:[^:/[\]]+|\[[^[\]]+\]):(\d{1,5})$/.exec(endpoint)?.[1]);
    if (port >= lowestPort && port <= 65_535) return;
    throw codedError(`Cannot use "${endpoint}": expected "tcp://HOST:PORT"`, "EINVAL");
  }

  onMessage(handler: (frames: Frames) => void): void {
    this.#handler = handler;
    this.#planDelivery();
  }

  send(frames: Frames): number {
    if (this.#type === "pull") throw new TypeError("Cannot send: a pull socket only receives");
    if (this.#state === "open" && frames.length > 0) {
      this.#queue(frames);
      this.flow();
    }
    return this.waitingBytes;
  }

  #queue(frames: Frames): void {
    if (this.#type !== "router") return this.#backlog.push(frames);
    const [identity, ...rest] = frames;
    const peer = this.#ends.find((end) => end.other !== undefined && equal(end.identity, identity));
    if (rest.length > 0) peer?.backlog.push(rest);
  }

  get waitingBytes(): number {
    return this.#ends.reduce((sum, end) => sum + end.backlog.bytes, this.#backlog.bytes);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#planDelivery();
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#around.lingering.add(this);
    this.elapse(0);
  }

  /** For the time. */
  elapse(ms: number): void {
    this.#lingerMs -= ms;
    if (this.#lingerMs <= 0 || !this.#unsent()) this.#finish();
  }

  // For the switchboard:

  fits(socket: FakeMessageSocket): boolean {
    return PARTNERS[this.#type].includes(socket.#type);
  }

  get hasRoom(): boolean {
    return this.#type !== "pair" || this.#ends.every((end) => end.other === undefined);
  }

  accept(): End<FakeMessageSocket> {
    const end = new End<FakeMessageSocket>(this);
    this.#ends.push(end);
    return end;
  }

  lost(end: End<FakeMessageSocket>): void {
    end.backlog.clear();
    if (end.target === undefined) end.outgoing.length = 0;
    this.#forget(end);
  }

  /** For the switchboard and the peers: moves what can be moved, from the own queues to the peers. */
  flow(): void {
    while (this.#handOver() || this.#ends.some((end) => this.#carry(end)));
    if (this.#state === "closing" && !this.#unsent()) this.#finish();
  }

  /** One message from the own queue to the library's. */
  #handOver(): boolean {
    const router = this.#type === "router";
    const [end] = this.#ends
      .filter((end) => end.usable && end.outgoing.length < this.#queueLimit && (!router || end.backlog.bytes > 0))
      .sort((a, b) => a.sentTurn - b.sentTurn);
    const frames = end && (router ? end.backlog : this.#backlog).shift();
    if (end === undefined || frames === undefined) return false;
    end.outgoing.push(frames);
    end.sentTurn = ++this.#turns;
    return true;
  }

  /** One message from the library's queue to the peer's. */
  #carry(end: End<FakeMessageSocket>): boolean {
    const { other, outgoing: [frames] } = end;
    if (other === undefined || frames === undefined || other.incoming.length >= other.socket.#queueLimit) return false;
    end.outgoing.shift();
    if (frames.some((frame) => frame.byteLength > other.socket.#frameLimit)) {
      other.target = undefined; // it does not come back to a peer that broke the protocol
      this.#around.board.cut(other);
    } else {
      other.socket.#arrive(other, frames);
    }
    return true;
  }

  #arrive(end: End<FakeMessageSocket>, frames: Frames): void {
    end.incoming.push(this.#type === "router" ? [end.identity, ...frames] : frames);
    this.#planDelivery();
  }

  #planDelivery(): void {
    if (this.#deliveryPlanned) return;
    this.#deliveryPlanned = true;
    queueMicrotask(() => {
      this.#deliveryPlanned = false;
      this.#deliver();
    });
  }

  /** One message, so that others are served in between. */
  #deliver(): void {
    if (this.#state !== "open" || this.#paused || this.#handler === undefined) return;
    const [end] = this.#ends.filter((end) => end.incoming.length > 0).sort((a, b) => a.receivedTurn - b.receivedTurn);
    const frames = end?.incoming.shift();
    if (end === undefined || frames === undefined) return;
    end.receivedTurn = ++this.#turns;
    this.#forget(end);
    end.other?.socket.flow();
    try {
      this.#handler(frames.map((frame) => new Uint8Array(frame)));
    } catch (err) {
      this.#around.log.error("handling a message failed", { err });
    }
    this.#planDelivery();
  }

  /** Drops an end that nothing comes from any more. */
  #forget(end: End<FakeMessageSocket>): void {
    const at = this.#ends.indexOf(end);
    if (at >= 0 && !end.usable && end.incoming.length === 0) this.#ends.splice(at, 1);
  }

  #unsent(): boolean {
    return this.waitingBytes > 0 || this.#ends.some((end) => end.outgoing.length > 0);
  }

  #finish(): void {
    this.#state = "closed";
    this.#around.lingering.delete(this);
    const ends = this.#ends.splice(0);
    this.#backlog.clear();
    this.#around.board.leave(this, ends);
  }
}

function equal(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return one.length === other?.length && one.every((byte, at) => byte === other[at]);
}

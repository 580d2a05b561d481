import type { Log } from "../../src/ports/log.ts";
import type { Frames, MessageSocket } from "../../src/ports/message_sockets.ts";

/** The part of a `npm:zeromq` socket that is used; every call completes at once because both time-outs are 0. */
export interface RawSocket {
  readonly lastEndpoint: string | null;
  getInt32Option(option: number): number;
  bind(endpoint: string): Promise<void>;
  connect(endpoint: string): void;
  receive(): Promise<Uint8Array[]>;
  send(frames: Frames): Promise<void>;
  close(): void;
}

const ZMQ_FD = 14;
const ZMQ_EVENTS = 15;
const POLLIN = 1;
const POLLOUT = 2;
/** Messages that one socket may take or give before the others have their turn. */
const TURN = 128;

export interface PolledSocketOptions {
  readonly lingerMs: number;
  readonly log: Log;
  /** Asks for a {@linkcode PolledSocket.pump} although the descriptor may not fire. */
  readonly requestPump: () => void;
  readonly onClosed: () => void;
}

/**
 * One socket, read and written without ever waiting inside the library. Its descriptor is edge-triggered: after every
 * operation its events have to be looked at again, because the operation may have swallowed the edge of another.
 */
export class PolledSocket implements MessageSocket {
  readonly descriptor: number;
  readonly #raw: RawSocket;
  readonly #options: PolledSocketOptions;
  readonly #outgoing: Frames[] = [];
  #outgoingBytes = 0;
  #handler: ((frames: Frames) => void) | undefined;
  #paused = false;
  #pumping = false;
  #state: "open" | "draining" | "closed" = "open";
  #drainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(raw: RawSocket, options: PolledSocketOptions) {
    this.#raw = raw;
    this.#options = options;
    this.descriptor = raw.getInt32Option(ZMQ_FD);
  }

  get waitingBytes(): number {
    return this.#outgoingBytes;
  }

  async bind(endpoint: string): Promise<string> {
    await this.#raw.bind(endpoint);
    this.#options.requestPump();
    return this.#raw.lastEndpoint ?? endpoint;
  }

  connect(endpoint: string): void {
    this.#raw.connect(endpoint);
    this.#options.requestPump();
  }

  onMessage(handler: (frames: Frames) => void): void {
    this.#handler = handler;
    this.#options.requestPump();
  }

  send(frames: Frames): number {
    if (this.#state !== "open") return 0; // a late reply to a peer of a closed socket
    this.#outgoing.push(frames);
    this.#outgoingBytes += sizeOf(frames);
    if (!this.#pumping) {
      this.#flush(TURN);
      if ((this.#events() & this.#interests()) !== 0) this.#options.requestPump();
    }
    return this.#outgoingBytes;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#options.requestPump();
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#handler = undefined;
    this.#flush(Number.POSITIVE_INFINITY);
    if (this.#outgoing.length === 0 || this.#options.lingerMs === 0) return this.#end();
    this.#state = "draining";
    this.#drainTimer = setTimeout(() => this.#end(), this.#options.lingerMs);
  }

  /** Takes and gives messages. Returns whether there is more to do at once; the caller serves the others first. */
  async pump(): Promise<boolean> {
    if (this.#pumping || this.#state === "closed") return false;
    this.#pumping = true;
    try {
      for (let turn = 0; turn < TURN; turn++) {
        this.#flush(TURN);
        if (this.#state === "draining" && this.#outgoing.length === 0) this.#end();
        if (this.#isClosed() || (this.#events() & this.#interests()) === 0) return false;
        if (this.#mayReceive() && (this.#events() & POLLIN) !== 0) this.#deliver(await this.#raw.receive());
      }
      return true;
    } finally {
      this.#pumping = false;
    }
  }

  /** What the socket can do now. Asking also lets the library process what has arrived. */
  #events(): number {
    return this.#raw.getInt32Option(ZMQ_EVENTS);
  }

  #isClosed(): boolean {
    return this.#state === "closed"; // a handler may have closed it meanwhile
  }

  #mayReceive(): boolean {
    return !this.#paused && this.#handler !== undefined;
  }

  #interests(): number {
    return (this.#mayReceive() ? POLLIN : 0) | (this.#outgoing.length > 0 ? POLLOUT : 0);
  }

  #deliver(frames: Frames): void {
    try {
      this.#handler?.(frames);
    } catch (error) {
      this.#options.log.error("message handler failed", { error });
    }
  }

  #flush(limit: number): void {
    let sent = 0;
    while (sent < this.#outgoing.length && sent < limit && (this.#events() & POLLOUT) !== 0) {
      const frames = this.#outgoing[sent++];
      if (frames === undefined) break;
      this.#outgoingBytes -= sizeOf(frames);
      this.#raw.send(frames).catch((error) => this.#options.log.warn("message not sent", { error }));
    }
    if (sent > 0) this.#outgoing.splice(0, sent);
  }

  #end(): void {
    clearTimeout(this.#drainTimer);
    if (this.#outgoing.length > 0) this.#options.log.warn("messages dropped: the peer did not take them in time");
    this.#state = "closed";
    this.#raw.close();
    this.#options.onClosed();
  }
}

function sizeOf(frames: Frames): number {
  let bytes = 0;
  for (const frame of frames) bytes += frame.length;
  return bytes;
}

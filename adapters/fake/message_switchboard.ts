/** The inside of adapters/fake/message_sockets.ts: connections, and who makes them. */
import type { Frames } from "../../src/ports/message_sockets.ts";

/** What a message counts beside its payload. */
const MESSAGE_BYTES = 64;
const FIRST_FREE_PORT = 30_000;

/** First in, first out, with its size. */
export class Backlog {
  readonly #messages: Frames[] = [];
  bytes = 0;

  push(frames: Frames): void {
    this.#messages.push(frames);
    this.bytes += sizeOf(frames);
  }

  shift(): Frames | undefined {
    const frames = this.#messages.shift();
    if (frames !== undefined) this.bytes -= sizeOf(frames);
    return frames;
  }

  clear(): void {
    this.#messages.length = 0;
    this.bytes = 0;
  }
}

function sizeOf(frames: Frames): number {
  return frames.reduce((sum, frame) => sum + frame.byteLength, MESSAGE_BYTES);
}

/** What the switchboard needs of a socket. */
export interface Station<Socket> {
  /** Whether their types can talk with each other. */
  fits(socket: Socket): boolean;
  /** Whether it takes one more peer now. */
  readonly hasRoom: boolean;
  /** Its end of a connection that somebody makes to it. */
  accept(): End<Socket>;
  /** The connection of one of its ends is over. */
  lost(end: End<Socket>): void;
  /** Moves messages as far as they can go. */
  flow(): void;
}

/** A socket's end of a connection. One that connects outlives the connection and gets another. */
export class End<Socket> {
  readonly socket: Socket;
  /** The address it connects to; `undefined` at the side that listens, and if it has given up. */
  target: string | undefined;
  other: End<Socket> | undefined;
  /** The peer's name at a router; another one for each connection. */
  identity = new Uint8Array(0);
  /** What a router keeps for this peer. */
  readonly backlog = new Backlog();
  /** The queues of the library. */
  readonly outgoing: Frames[] = [];
  readonly incoming: Frames[] = [];
  /** When it had its turn. */
  sentTurn = 0;
  receivedTurn = 0;

  constructor(socket: Socket, target?: string) {
    this.socket = socket;
    this.target = target;
  }

  /** Whether something sent by it can arrive at some time. */
  get usable(): boolean {
    return this.other !== undefined || this.target !== undefined;
  }
}

/** Who listens where, and who looks for whom. */
export class Switchboard<Socket extends Station<Socket>> {
  readonly #listeners = new Map<string, Socket>();
  readonly #seeking = new Set<End<Socket>>();
  #lastPort = FIRST_FREE_PORT;
  #lastIdentity = 0;

  /** @returns the endpoint with its port. */
  listen(socket: Socket, endpoint: string): string {
    const real = endpoint.replace(/:0+$/, () => this.unusedPort());
    if (this.#listeners.has(real)) throw codedError(`Cannot bind "${real}": it is taken`, "EADDRINUSE");
    this.#listeners.set(real, socket);
    this.#match();
    return real;
  }

  /** Another one for each call, with its colon. */
  unusedPort(): string {
    const port = `:${++this.#lastPort}`;
    return [...this.#listeners.keys()].some((endpoint) => endpoint.endsWith(port)) ? this.unusedPort() : port;
  }

  seek(end: End<Socket>): void {
    this.#seeking.add(end);
    this.#match();
  }

  /** Ends a connection; the end that made it looks for another one. */
  cut(end: End<Socket>): void {
    const { other } = end;
    if (other === undefined) return;
    end.other = other.other = undefined;
    for (const it of [end, other]) {
      if (it.target !== undefined) this.#seeking.add(it);
      it.socket.lost(it);
    }
    queueMicrotask(() => this.#match());
  }

  leave(socket: Socket, ends: readonly End<Socket>[]): void {
    for (const [endpoint, listener] of this.#listeners) if (listener === socket) this.#listeners.delete(endpoint);
    for (const end of ends) this.cut(end);
    for (const end of ends) this.#seeking.delete(end);
  }

  #match(): void {
    for (const end of this.#seeking) {
      const listener = this.#listenerAt(end.target ?? "");
      if (listener === undefined) continue;
      if (!listener.fits(end.socket)) this.#giveUp(end);
      else if (listener.hasRoom && end.socket.hasRoom) this.#join(end, listener);
    }
  }

  /** What answered there has broken the protocol. */
  #giveUp(end: End<Socket>): void {
    end.target = undefined;
    this.#seeking.delete(end);
    end.socket.lost(end);
  }

  #listenerAt(endpoint: string): Socket | undefined {
    const port = /\d+$/.exec(endpoint)?.[0];
    return [endpoint, `tcp://0.0.0.0:${port}`, `tcp://[::]:${port}`]
      .map((candidate) => this.#listeners.get(candidate))
      .find((listener) => listener !== undefined);
  }

  #join(end: End<Socket>, listener: Socket): void {
    this.#seeking.delete(end);
    const other = listener.accept();
    [end.other, other.other] = [other, end];
    for (const it of [end, other]) {
      it.identity = new Uint8Array(5);
      new DataView(it.identity.buffer).setUint32(1, ++this.#lastIdentity);
    }
    end.socket.flow();
    listener.flow();
  }
}

export function codedError(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}

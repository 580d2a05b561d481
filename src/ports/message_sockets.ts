/**
 * What a socket does with messages. A `push` sends to its peers in turn; a `pull` receives from all of them. A `dealer`
 * does both. A `router` gives each message with the sender's identity as first frame, and sends each message to the peer
 * that its first frame names; one for a peer that is gone is dropped. A `pair` talks with one peer and ignores others.
 */
export type SocketType = "router" | "dealer" | "push" | "pull" | "pair";

/** Frames of one message, at least one. Received frames are the reader's own: they are never reused. */
export type Frames = readonly Uint8Array[];

export interface SocketOptions {
  /** How long unsent messages are kept after {@linkcode MessageSocket.close}, ms; 0 = not at all. */
  readonly lingerMs: number;
  /** Messages queued in the library per peer and direction; 0 = no limit. Default 1000. */
  readonly highWaterMark?: number;
  /**
   * A peer that sends a longer frame is disconnected, for good if this side connected to it, and the frame is lost. Others
   * are served on. Default: no limit.
   */
  readonly maxMessageBytes?: number;
}

/** Endpoints are `tcp://HOST:PORT`, IPv6 in brackets. */
export interface MessageSocket {
  /**
   * The endpoint with the real port, also when port 0 was asked for.
   * Rejects if the address cannot be bound, with `code` EADDRINUSE if somebody has it, EINVAL if it is malformed.
   */
  bind(endpoint: string): Promise<string>;
  /**
   * Connects now or later, and again after every loss, but not to a peer that broke the protocol: what listens there must
   * be a socket of a type that fits. What is under way when a connection breaks may be lost.
   * @throws an error with `code` EINVAL if the endpoint is malformed.
   */
  connect(endpoint: string): void;
  /**
   * Called once for every message, in order, and never during a call of a method here. One handler at a time, a later one
   * replaces it; messages before it is set wait. What it throws is logged, and the next message is given.
   */
  onMessage(handler: (frames: Frames) => void): void;
  /**
   * Queues a message in our own memory, in order; it leaves as soon as the peer takes it. Never blocks.
   * A router has one such queue for each peer, so that a slow one holds up nobody else; it may be limited, and drops and
   * logs what is beyond.
   * The frames are not copied: they must not be changed any more.
   * Returns {@linkcode waitingBytes}: 0 means it has been handed to the library. What the library does not take from a
   * router is counted a moment later.
   * @throws {TypeError} if it is a pull socket.
   */
  send(frames: Frames): number;
  /** Bytes that wait in our own queue now, not yet handed to the library; every message counts, an empty one, too. */
  readonly waitingBytes: number;
  /**
   * Stops taking messages; the library's queue fills up and the peer has to wait. No message is given until
   * {@linkcode resume}, and none is lost. Idempotent.
   */
  pause(): void;
  /** Takes messages again, those that waited first. Idempotent. */
  resume(): void;
  /**
   * Gives its address free, a moment later. From here on no message is given, those to be sent are dropped, `bind` rejects
   * and `connect` throws. Idempotent. Also within the handler of a message.
   */
  close(): void;
}

/**
 * Message sockets for adapters that speak ZeroMQ to a peer: the RPC server, the runner channels, the event push.
 * One implementation (`adapters/zeromq`) serves them all; no use case sees this.
 */
export interface MessageSockets {
  /** A socket without any address; it may bind and connect several times. @throws {RangeError} for a senseless option. */
  open(type: SocketType, options: SocketOptions): MessageSocket;
}

/**
 * Message sockets for adapters that speak ZeroMQ to a peer: the RPC server, the runner channels, the event push.
 * One implementation (`adapters/zeromq`) serves them all; no use case sees this.
 */
export type SocketType = "router" | "dealer" | "push" | "pull" | "pair";

/** Frames of one message. Received frames are the reader's own: they are never reused. */
export type Frames = readonly Uint8Array[];

export interface SocketOptions {
  /** How long unsent messages are kept after {@linkcode MessageSocket.close}, ms. */
  readonly lingerMs: number;
  /** Messages queued in the library per peer and direction; 0 = no limit. Default 1000. */
  readonly highWaterMark?: number;
  /** A peer that sends a longer frame is disconnected. Default: no limit. */
  readonly maxMessageBytes?: number;
}

export interface MessageSocket {
  /** The endpoint with the real port, also when port 0 was asked for. Rejects if the address cannot be bound. */
  bind(endpoint: string): Promise<string>;
  /** Connects now or later, and again after every loss. */
  connect(endpoint: string): void;
  /** Called once for every message, in order. At most one handler; messages before it is set wait. */
  onMessage(handler: (frames: Frames) => void): void;
  /**
   * Queues a message in our own memory, in order; it leaves as soon as the peer takes it. Never blocks.
   * The frames are not copied: they must not be changed any more.
   * Returns the bytes that now wait in that queue: 0 means it has been handed to the library.
   */
  send(frames: Frames): number;
  /** Bytes that wait in our own queue now, not yet handed to the library. */
  readonly waitingBytes: number;
  /** Stops taking messages; the library's queue fills up and the peer has to wait. Idempotent. */
  pause(): void;
  resume(): void;
  /** Idempotent. */
  close(): void;
}

export interface MessageSockets {
  open(type: SocketType, options: SocketOptions): MessageSocket;
}

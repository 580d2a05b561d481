/** Messages on their way out: our own queues in front of the library's, so that sending never waits. */
import type { Log } from "../../src/ports/log.ts";
import type { Frames } from "../../src/ports/message_sockets.ts";
import { MessageQueue } from "./message_queue.ts";

/** The part of a library socket that sends. With a send time-out of 0 the promise is settled when it is returned. */
export interface Sender {
  send(frames: Uint8Array[]): Promise<void>;
  readonly writable: boolean;
}

export interface Outbox {
  /** Queues a message and hands over what the library takes. */
  send(frames: Frames): void;
  /** Tries again what the library did not take; call it after every event of the socket. */
  flush(): void;
  /** Bytes that wait here. */
  readonly waitingBytes: number;
  /** Whether nothing waits and nothing is being handed over. */
  readonly idle: boolean;
  /** Whether {@linkcode flush} would send something as soon as the library calls the socket writable. */
  readonly waitsForLibrary: boolean;
  /** Forgets what waits; for a socket that is about to be closed. */
  clear(): void;
}

/** For sockets with one queue for all peers (dealer, push, pair): the library says itself whether it takes more. */
export class SharedOutbox implements Outbox {
  readonly #sender: Sender;
  readonly #log: Log;
  readonly #queue = new MessageQueue();

  constructor(sender: Sender, log: Log) {
    this.#sender = sender;
    this.#log = log;
  }

  send(frames: Frames): void {
    this.#queue.push(frames);
    this.flush();
  }

  flush(): void {
    while (!this.#queue.empty && this.#sender.writable) {
      const frames = this.#queue.shift();
      this.#sender.send([...frames]).catch((err) => {
        // "writable" was true and nothing ran in between: the only peer has left in this moment, or it is a fault
        if (errorCode(err) === "EAGAIN") this.#log.debug("peer is gone, message dropped");
        else this.#log.error("message lost in sending", { err });
      });
    }
  }

  get waitingBytes(): number {
    return this.#queue.bytes;
  }

  get idle(): boolean {
    return this.#queue.empty;
  }

  get waitsForLibrary(): boolean {
    return !this.#queue.empty;
  }

  clear(): void {
    this.#queue.clear();
  }
}

export interface RouterOutboxLimits {
  /** Memory for one peer that does not read. */
  readonly peerBytes: number;
  /** Memory for all such peers. */
  readonly totalBytes: number;
  /** How many such peers are kept. */
  readonly peers: number;
}

const DEFAULT_LIMITS: RouterOutboxLimits = { peerBytes: 64 * 2 ** 20, totalBytes: 256 * 2 ** 20, peers: 256 };

/**
 * For a router. Left to itself it drops what a peer with a full queue should get; told to be "mandatory" it refuses
 * with EAGAIN, but only for the message it is given, so each such peer gets a queue here and holds up nobody else.
 * A peer that does not read for so long that a limit is reached loses messages, which is logged.
 */
export class RouterOutbox implements Outbox {
  readonly #sender: Sender;
  readonly #log: Log;
  readonly #onHandedOver: () => void;
  readonly #limits: RouterOutboxLimits;
  /** What has not been tried yet; one send at a time, so that the order survives a refusal. */
  readonly #untried = new MessageQueue();
  /** Queues of peers that the library refused, by routing id. None is empty. */
  readonly #congested = new Map<string, MessageQueue>();
  #congestedBytes = 0;
  #handingOver = false;
  #retryWanted = false;
  #over = false;
  #dropped = 0;

  /** Never: "writable" is about any peer, but what waits here waits for certain ones. */
  readonly waitsForLibrary = false;

  /** @param onHandedOver called after sends that happened later than the call that asked for them */
  constructor(sender: Sender, log: Log, onHandedOver: () => void, limits: RouterOutboxLimits = DEFAULT_LIMITS) {
    this.#sender = sender;
    this.#log = log;
    this.#onHandedOver = onHandedOver;
    this.#limits = limits;
  }

  send(frames: Frames): void {
    this.#untried.push(frames);
    this.#start();
  }

  flush(): void {
    if (this.#congested.size === 0) return;
    this.#retryWanted = true;
    this.#start();
  }

  get waitingBytes(): number {
    return this.#untried.bytes + this.#congestedBytes;
  }

  get idle(): boolean {
    return !this.#handingOver && this.#untried.empty && this.#congested.size === 0;
  }

  clear(): void {
    this.#over = true;
    this.#untried.clear();
    for (const queue of this.#congested.values()) queue.clear();
    this.#congested.clear();
    this.#congestedBytes = 0;
  }

  /** The first send happens before it returns. */
  #start(): void {
    if (this.#handingOver) return;
    this.#handingOver = true;
    this.#handOver().catch((err) => this.#log.error("handing over messages failed", { err }));
  }

  async #handOver(): Promise<void> {
    try {
      while (!this.#untried.empty || this.#retryWanted) {
        if (this.#untried.empty) await this.#retry();
        else await this.#sendNext(this.#untried.shift());
      }
    } finally {
      this.#handingOver = false; // in one step with the last look at the queue
    }
    this.#onHandedOver();
  }

  async #sendNext(frames: Frames): Promise<void> {
    const behindOthers = this.#congested.size > 0 && this.#congested.has(peerKey(frames));
    if (behindOthers || !await this.#taken(frames)) this.#keep(frames);
  }

  async #retry(): Promise<void> {
    this.#retryWanted = false;
    for (const [key, queue] of this.#congested) {
      while (!queue.empty && await this.#taken(queue.first)) {
        if (queue.empty) return; // forgotten meanwhile
        this.#congestedBytes -= MessageQueue.sizeOf(queue.shift());
      }
      if (queue.empty) this.#congested.delete(key);
    }
  }

  /** False if the peer's queue in the library is full. A peer that is gone takes everything. */
  async #taken(frames: Frames): Promise<boolean> {
    try {
      await this.#sender.send([...frames]);
    } catch (err) {
      const code = errorCode(err);
      if (code === "EAGAIN") return false;
      if (code === "EHOSTUNREACH") this.#log.debug("peer is gone, message dropped");
      else this.#log.error("message lost in sending", { err });
    }
    return true;
  }

  #keep(frames: Frames): void {
    if (this.#over) return;
    const key = peerKey(frames);
    const queue = this.#congested.get(key) ?? new MessageQueue();
    const { peerBytes, totalBytes, peers } = this.#limits;
    const size = MessageQueue.sizeOf(frames);
    const full = queue.bytes + size > peerBytes || this.#congestedBytes + size > totalBytes;
    if (full || (queue.empty && this.#congested.size >= peers)) return this.#noteDropped(frames);
    queue.push(frames);
    this.#congestedBytes += size;
    this.#congested.set(key, queue);
  }

  /** Logs the 1st, 2nd, 4th, 8th, … so that a peer cannot fill the log. */
  #noteDropped(frames: Frames): void {
    this.#dropped++;
    if ((this.#dropped & (this.#dropped - 1)) !== 0) return;
    this.#log.warn("peer does not read, message dropped", { peer: peerKey(frames), dropped: this.#dropped });
  }
}

/** The routing id, as hexadecimal text. */
function peerKey(frames: Frames): string {
  return frames[0]?.toHex() ?? "";
}

function errorCode(err: unknown): unknown {
  return err instanceof Error && "code" in err ? err.code : undefined;
}

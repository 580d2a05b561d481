import { Dealer, Pair, Pull, Push, Router } from "zeromq";
import type { Log } from "../../src/ports/log.ts";
import type { Frames, MessageSocket, SocketOptions, SocketType } from "../../src/ports/message_sockets.ts";
import { type Outbox, RouterOutbox, SharedOutbox } from "./outbox.ts";

const ZMQ_FD = 14;
const ZMQ_EVENTS = 15;
const POLLIN = 1;
const POLLOUT = 2;
const DEFAULT_HIGH_WATER_MARK = 1000;
const NO_LIMIT = -1;
const MAX_INT32 = 2 ** 31 - 1;
/** A peer that vanished without a word is noticed after about this time; the kernel's own default is two hours. */
const KEEPALIVE_IDLE_S = 60;
/** Pauses between attempts to connect: a runner listens a moment after its container has started, so short ones first. */
const RECONNECT_MS = 10;
const RECONNECT_MAX_MS = 1_000;
/** A router does not say which peer has room again, so the peers with full queues are also tried now and then. */
const RETRY_MS = 50;

type LibrarySocket = Router | Dealer | Push | Pull | Pair;

/** What every library socket has, too; the package declares it protected. */
interface OptionReader {
  getInt32Option(option: number): number;
}

/** What a socket tells those that run it. */
export interface SocketEvents {
  /** There may be something to do although the descriptor does not say so. */
  attention(socket: ZeroMqSocket): void;
  /** It is closed now. What the library has taken it may keep for `remainingMs`. */
  closed(socket: ZeroMqSocket, remainingMs: number): void;
}

/**
 * One library socket. Every call into the library, a failed one, too, may swallow the edge that its descriptor would have
 * shown. Therefore after each one somebody looks at both directions again: {@linkcode ZeroMqSocket.turn}, or the loop at
 * our request.
 */
export class ZeroMqSocket implements MessageSocket {
  readonly #library: LibrarySocket;
  readonly #optionReader: OptionReader;
  readonly #reader: Router | Dealer | Pull | Pair | undefined;
  readonly #outbox: Outbox | undefined;
  readonly #log: Log;
  readonly #events: SocketEvents;
  readonly #lingerMs: number;
  /** Readable whenever the library has news for this socket. */
  readonly descriptor: number;
  #handler: ((frames: Frames) => void) | undefined;
  /** Taken from the library, to be handled next. */
  #received: Frames | undefined;
  #paused = false;
  #inTurn = false;
  /** `closing`: takes nothing more, in or out, and sends what waits. */
  #state: "open" | "closing" | "closed" = "open";
  /** When what is unsent is given up, in the time of `performance.now()`. */
  #lingersUntilMs = 0;
  #lingerTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(type: SocketType, options: SocketOptions, deps: { readonly log: Log; readonly events: SocketEvents }) {
    this.#log = deps.log;
    this.#events = deps.events;
    this.#lingerMs = options.lingerMs;
    const library = openLibrarySocket(type, options);
    this.#library = library;
    this.#reader = library instanceof Push ? undefined : library;
    if (library instanceof Router) this.#outbox = new RouterOutbox(library, deps.log, () => this.#afterHandover());
    else if (!(library instanceof Pull)) this.#outbox = new SharedOutbox(library, deps.log);
    this.#optionReader = library as unknown as OptionReader; // see there
    this.descriptor = this.#optionReader.getInt32Option(ZMQ_FD);
  }

  bind(endpoint: string): Promise<string> {
    return Promise.try(() => {
      this.#prepare(endpoint, 0);
      try {
        // Not bind(): its thread would use the socket while the loop may do so, too
        this.#library.bindSync(endpoint);
      } finally {
        this.#events.attention(this);
      }
      return this.#library.lastEndpoint ?? endpoint;
    });
  }

  connect(endpoint: string): void {
    this.#prepare(endpoint, 1);
    try {
      uninterrupted(() => this.#library.connect(endpoint));
    } finally {
      this.#events.attention(this);
    }
  }

  #prepare(endpoint: string, lowestPort: number): void {
    if (this.#state !== "open") throw new Error(`Cannot use "${endpoint}": the socket is closed`);
    checkEndpoint(endpoint, lowestPort);
    // Only where it is needed: with it on, IPv4 endpoints are reported in their IPv6 form
    if (endpoint.includes("[") && !this.#library.ipv6) this.#library.ipv6 = true;
  }

  onMessage(handler: (frames: Frames) => void): void {
    this.#handler = handler;
    if (this.#state === "open") this.#events.attention(this);
  }

  /** After {@linkcode close} nothing is taken any more. */
  send(frames: Frames): number {
    if (this.#outbox === undefined) throw new TypeError("Cannot send: a pull socket only receives");
    if (this.#state !== "open") return this.#outbox.waitingBytes;
    this.#outbox.send(frames);
    if (!this.#inTurn && this.#wantsTurn()) this.#events.attention(this);
    return this.#outbox.waitingBytes;
  }

  /** A router sends later than it is asked to: that may have swallowed an edge. */
  #afterHandover(): void {
    if (this.#state === "closing" && this.#sent()) return this.#finish();
    if (!this.#inTurn && this.#wantsTurn()) this.#events.attention(this);
    if (this.#state !== "closed" && !this.#sent()) this.#retryTimer ??= setTimeout(() => this.#retry(), RETRY_MS);
  }

  #retry(): void {
    this.#retryTimer = undefined;
    this.#events.attention(this);
  }

  get waitingBytes(): number {
    return this.#outbox?.waitingBytes ?? 0;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#state === "open") this.#events.attention(this);
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#lingersUntilMs = performance.now() + this.#lingerMs;
    if (this.#sent() || this.#lingerMs === 0) return this.#finish();
    this.#lingerTimer = setTimeout(() => this.#finish(), this.#lingerMs);
  }

  /**
   * Whether a {@linkcode turn} would do something. One look for both directions, because a look swallows the edges of
   * both; also made when nothing is wanted, because it is what makes the library go on.
   */
  #wantsTurn(): boolean {
    if (this.#state === "closed") return false;
    const ready = uninterrupted(() => this.#optionReader.getInt32Option(ZMQ_EVENTS));
    return (((ready & POLLIN) !== 0 || this.#received !== undefined) && this.#receives()) ||
      ((ready & POLLOUT) !== 0 && (this.#outbox?.waitsForLibrary ?? false));
  }

  #receives(): boolean {
    return this.#state === "open" && !this.#paused && this.#handler !== undefined;
  }

  #sent(): boolean {
    return this.#outbox === undefined || this.#outbox.idle;
  }

  /** Delivers messages until none is left or `until` says stop, and sends. True if messages are left. */
  async turn(until: () => boolean): Promise<boolean> {
    if (this.#state === "closed") return false;
    this.#inTurn = true;
    try {
      this.#outbox?.flush();
      await this.#deliver(until);
      this.#outbox?.flush(); // what was read may have made room
      if (this.#state === "closing" && this.#sent()) this.#finish();
    } finally {
      this.#inTurn = false;
    }
    return this.#wantsTurn();
  }

  async #deliver(until: () => boolean): Promise<void> {
    while (this.#reader !== undefined && this.#receives() && !until()) {
      if (this.#received === undefined) {
        if (!this.#library.readable) return;
        // Readable, so the promise is settled already and only costs a microtask
        this.#received = await this.#reader.receive();
        if (!this.#receives()) return; // paused or closed in that microtask
      }
      const frames: Frames = this.#received;
      this.#received = undefined;
      this.#handle(frames);
    }
  }

  #handle(frames: Frames): void {
    try {
      this.#handler?.(frames);
    } catch (err) {
      this.#log.error("handling a message failed", { err });
    }
  }

  #finish(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearTimeout(this.#lingerTimer);
    clearTimeout(this.#retryTimer);
    if (this.waitingBytes > 0) this.#log.warn("socket closed, messages dropped", { bytes: this.waitingBytes });
    this.#outbox?.clear();
    this.#received = undefined;
    const remainingMs = Math.max(0, Math.ceil(this.#lingersUntilMs - performance.now()));
    this.#events.closed(this, remainingMs);
    this.#library.linger = remainingMs;
    this.#library.close();
  }
}

/** Also because the library takes any number as port, and uses its lowest 16 bits. */
function checkEndpoint(endpoint: string, lowestPort: number): void {
  const [, digits] = /^tcp:\/\/(?:[^:/[\]]+|\[[^[\]]+\]):(\d{1,5})$/.exec(endpoint) ?? [];
  const port = Number(digits);
  if (port >= lowestPort && port <= 65_535) return;
  throw Object.assign(new Error(`Cannot use "${endpoint}": expected "tcp://HOST:PORT"`), { code: "EINVAL" });
}

/** A signal to the process can interrupt a call; the addon repeats only sending and receiving by itself. */
function uninterrupted<T>(call: () => T): T {
  for (;;) {
    try {
      return call();
    } catch (err) {
      if (!(err instanceof Error && "code" in err && err.code === "EINTR")) throw err;
    }
  }
}

/**
 * Time-outs of 0 make the addon's promises settle before they are returned; it then never uses its own, unreliable, way
 * to wait. An option that the type does not have must not be named: the addon crashes on it.
 */
function openLibrarySocket(type: SocketType, options: SocketOptions): LibrarySocket {
  const { lingerMs, highWaterMark = DEFAULT_HIGH_WATER_MARK, maxMessageBytes = NO_LIMIT } = options;
  for (const [name, value] of Object.entries({ lingerMs, highWaterMark })) checkOption(name, value);
  if (maxMessageBytes !== NO_LIMIT) checkOption("maxMessageBytes", maxMessageBytes);
  const common = {
    linger: lingerMs,
    maxMessageSize: maxMessageBytes,
    tcpKeepalive: 1,
    tcpKeepaliveIdle: KEEPALIVE_IDLE_S,
    reconnectInterval: RECONNECT_MS,
    reconnectMaxInterval: RECONNECT_MAX_MS,
  };
  const sending = { sendTimeout: 0, sendHighWaterMark: highWaterMark };
  const receiving = { receiveTimeout: 0, receiveHighWaterMark: highWaterMark };
  switch (type) {
    case "router":
      return new Router({ ...common, ...sending, ...receiving, mandatory: true });
    case "dealer":
      return new Dealer({ ...common, ...sending, ...receiving });
    case "push":
      return new Push({ ...common, ...sending });
    case "pull":
      return new Pull({ ...common, ...receiving });
    case "pair":
      return new Pair({ ...common, ...sending, ...receiving });
    default:
      return type satisfies never;
  }
}

/** Refused here, because the addon keeps half a socket when the library refuses it, and crashes at the end. */
function checkOption(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_INT32) return;
  throw new RangeError(`Cannot open a socket: ${name} is ${value}`);
}

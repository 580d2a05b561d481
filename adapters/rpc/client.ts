import type { MessageSocket, MessageSockets } from "../../src/ports/message_sockets.ts";
import { decodeReply, encodeRequest, type ErrorTriple, type Sender } from "./codec.ts";

/** The peer answered with an error. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  /** Qualified class name at the peer, e.g. `builtins.ValueError`. */
  readonly type: string;
  readonly args: readonly unknown[];
  constructor([type, args, repr]: ErrorTriple) {
    super(repr);
    this.type = type;
    this.args = args;
  }
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Longest wait for the answer; none when undefined. */
  readonly timeoutMs?: number;
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/** Calls an agent as a manager does. Safe for concurrent calls; serves tests, benchmarks and the command line. */
export class RpcClient implements Disposable {
  readonly #socket: MessageSocket;
  readonly #sender: Sender;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #closed = false;

  /** @param endpoint `tcp://HOST:PORT`; connects now or as soon as somebody listens */
  constructor(options: { sockets: MessageSockets; endpoint: string; sender?: Sender }) {
    this.#sender = options.sender ?? { pid: 0, nonce: Math.floor(Math.random() * 0x10000) };
    this.#socket = options.sockets.open("dealer", { lingerMs: 1_000 });
    this.#socket.onMessage((frames) => {
      const reply = decodeReply(frames);
      if (reply === undefined) return;
      const pending = this.#pending.get(reply.id);
      this.#pending.delete(reply.id); // an answer that nobody waits for any more is dropped
      if (reply.ok) pending?.resolve(reply.value);
      else pending?.reject(new RpcError(reply.error));
    });
    this.#socket.connect(options.endpoint);
  }

  /**
   * @throws {RpcError} if the peer answers with an error; `signal.reason`; a `TimeoutError` after `timeoutMs`; an
   * `AbortError` if the client is closed.
   */
  async call(method: string, args: readonly unknown[] = [], options: CallOptions = {}): Promise<unknown> {
    const { signal, timeoutMs, kwargs = {} } = options;
    signal?.throwIfAborted();
    if (this.#closed) throw new DOMException("The client is closed", "AbortError");
    const id = this.#lastId = (this.#lastId + 1) >>> 0;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => {
      reject(new DOMException(`No answer to "${method}" within ${timeoutMs} ms`, "TimeoutError"));
    }, timeoutMs);
    try {
      this.#socket.send(encodeRequest({ method, args, kwargs }, id, this.#sender, Date.now()));
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
    }
  }

  /** Calls under way fail. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(new DOMException("The client was closed", "AbortError"));
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

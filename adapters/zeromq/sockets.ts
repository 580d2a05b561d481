import * as zmq from "zeromq";
import type { Log } from "../../src/ports/log.ts";
import type { MessageSocket, MessageSockets, SocketOptions, SocketType } from "../../src/ports/message_sockets.ts";
import { DescriptorPoll } from "./descriptor_poll.ts";
import { PolledSocket, type RawSocket } from "./polled_socket.ts";

/** A runner listens a moment after its container has started: short waits first. */
const RECONNECT_MS = 10;
const RECONNECT_MAX_MS = 1_000;

/**
 * {@linkcode MessageSockets} over libzmq. `npm:zeromq`'s own waiting loses wake-ups under Deno, so nothing here ever waits
 * inside it: one `poll(2)` watches the descriptors of all sockets, and a socket is only read while it says it is readable
 * and only written while it says it is writable (docs/decisions/0001-zeromq-under-deno.md).
 */
export class ZeroMqSockets implements MessageSockets, AsyncDisposable {
  readonly #log: Log;
  readonly #sockets = new Map<number, PolledSocket>();
  /** Sockets to be served whether or not their descriptor fires. */
  readonly #due = new Set<PolledSocket>();
  #poll: DescriptorPoll | undefined;
  #watching: Promise<void> | undefined;
  #closed = false;

  constructor(options: { log: Log }) {
    this.#log = options.log;
  }

  open(type: SocketType, options: SocketOptions): MessageSocket {
    if (this.#closed) throw new TypeError("The sockets are closed");
    const poll = this.#poll ??= new DescriptorPoll();
    const socket: PolledSocket = new PolledSocket(createSocket(type, options), {
      lingerMs: options.lingerMs,
      log: this.#log,
      requestPump: () => {
        this.#due.add(socket);
        poll.wake();
      },
      onClosed: () => {
        this.#sockets.delete(socket.descriptor);
        this.#due.delete(socket);
        poll.wake();
      },
    });
    this.#sockets.set(socket.descriptor, socket);
    poll.wake(); // the wait in progress does not know the new descriptor
    this.#watching ??= this.#watch(poll);
    return socket;
  }

  /** Serves sockets until all are closed after disposal. Waiting is also what lets timers and other I/O in. */
  async #watch(poll: DescriptorPoll): Promise<void> {
    while (!this.#closed || this.#sockets.size > 0) {
      for (const descriptor of await poll.wait(this.#sockets.keys())) {
        const socket = this.#sockets.get(descriptor);
        if (socket !== undefined) this.#due.add(socket);
      }
      const due = [...this.#due];
      this.#due.clear();
      for (const socket of due) {
        if (await socket.pump()) this.#due.add(socket);
      }
      if (this.#due.size > 0) poll.wake();
    }
    poll[Symbol.dispose]();
  }

  /** Closes every socket; unsent messages have their linger time. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const socket of [...this.#sockets.values()]) socket.close();
    this.#poll?.wake();
    await this.#watching;
  }
}

/** With both time-outs 0 the library answers every call at once instead of waiting by itself. */
function createSocket(type: SocketType, { lingerMs, highWaterMark, maxMessageBytes }: SocketOptions): RawSocket {
  const send = { sendTimeout: 0, ...(highWaterMark === undefined ? {} : { sendHighWaterMark: highWaterMark }) };
  const receive = {
    receiveTimeout: 0,
    ...(highWaterMark === undefined ? {} : { receiveHighWaterMark: highWaterMark }),
  };
  const common = { linger: lingerMs, ...(maxMessageBytes === undefined ? {} : { maxMessageSize: maxMessageBytes }) };
  const retry = { reconnectInterval: RECONNECT_MS, reconnectMaxInterval: RECONNECT_MAX_MS };
  // The declarations of the package hide a member that every socket has: `getInt32Option`.
  switch (type) {
    case "router":
      return new zmq.Router({ ...common, ...send, ...receive }) as unknown as RawSocket;
    case "dealer":
      return new zmq.Dealer({ ...common, ...send, ...receive, ...retry }) as unknown as RawSocket;
    case "pair":
      return new zmq.Pair({ ...common, ...send, ...receive, ...retry }) as unknown as RawSocket;
    case "push":
      return new zmq.Push({ ...common, ...send, ...retry }) as unknown as RawSocket;
    case "pull":
      return new zmq.Pull({ ...common, ...receive, ...retry }) as unknown as RawSocket;
    default:
      return type satisfies never;
  }
}

import { setImmediate } from "node:timers";
import { context } from "zeromq";
import type { Log } from "../../src/ports/log.ts";
import type { MessageSocket, MessageSockets, SocketOptions, SocketType } from "../../src/ports/message_sockets.ts";
import { DescriptorPoll } from "./descriptor_poll.ts";
import { Departures } from "./departures.ts";
import { ZeroMqSocket } from "./socket.ts";

/** Two per kernel, and some; the library's own limit is 1023. */
const MAX_SOCKETS = 16_384;
/** One socket's share before the next one gets its turn. */
const TURN_MESSAGES = 32;
const TURN_MS = 1;

/**
 * {@linkcode MessageSockets} over `npm:zeromq`, whose own way to wait loses wake-ups under Deno. One loop and one
 * waiting thread serve all sockets; both exist only while a socket is open. See docs/decisions.
 */
export class ZeroMqSockets implements MessageSockets, AsyncDisposable {
  readonly #log: Log;
  readonly #sockets = new Map<number, ZeroMqSocket>();
  /** Sockets with something to do, in the order in which they get their turn. */
  readonly #ready = new Set<ZeroMqSocket>();
  readonly #departures = new Departures();
  #poll: DescriptorPoll | undefined;
  #loop: Promise<void> | undefined;
  #disposed = false;

  constructor(deps: { readonly log: Log }) {
    this.#log = deps.log;
  }

  open(type: SocketType, options: SocketOptions): MessageSocket {
    if (this.#disposed) throw new Error("Cannot open a socket: all were closed for good");
    if (this.#poll === undefined) {
      context.maxSockets = MAX_SOCKETS; // only the first socket of the process makes it count
      this.#poll = new DescriptorPoll();
    }
    const poll = this.#poll;
    const socket = new ZeroMqSocket(type, options, {
      log: this.#log,
      events: {
        attention: (it) => {
          this.#ready.add(it);
          poll.wake();
        },
        closed: (it, remainingMs) => {
          this.#ready.delete(it);
          this.#sockets.delete(it.descriptor);
          poll.remove(it.descriptor);
          this.#departures.add(it.descriptor, remainingMs);
        },
      },
    });
    this.#sockets.set(socket.descriptor, socket);
    poll.add(socket.descriptor);
    this.#loop ??= this.#run(poll);
    return socket;
  }

  async #run(poll: DescriptorPoll): Promise<void> {
    while (this.#sockets.size > 0) {
      // A look without waiting in between, so that sockets with news do not wait behind those that never run dry
      const signalled = this.#ready.size === 0 ? await poll.wait() : poll.now();
      for (const descriptor of signalled) {
        const socket = this.#sockets.get(descriptor);
        if (socket !== undefined) this.#ready.add(socket);
      }
      await this.#runTurns();
      if (this.#ready.size > 0) await nextEventLoopTurn();
    }
    this.#loop = undefined;
  }

  /** Every ready socket gets one turn. */
  async #runTurns(): Promise<void> {
    const ready = [...this.#ready];
    this.#ready.clear();
    for (const socket of ready) {
      let messages = 0;
      const endsAt = performance.now() + TURN_MS;
      try {
        const more = await socket.turn(() => messages++ >= TURN_MESSAGES || performance.now() >= endsAt);
        if (more) this.#ready.add(socket);
      } catch (err) {
        this.#log.error("serving a socket failed", { err }); // a bug, which must not end the service of all sockets
      }
    }
  }

  /** Closes all sockets and waits until the library has sent what they had, each for its linger time at most. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const socket of [...this.#sockets.values()]) socket.close();
    await this.#loop;
    await this.#departures.settled();
    this.#poll?.[Symbol.dispose]();
    this.#poll = undefined;
  }
}

/** Lets timers and other input have their turn; a timer of 0 ms would cost a millisecond. */
function nextEventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

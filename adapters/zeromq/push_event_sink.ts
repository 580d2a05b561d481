import { encode } from "@msgpack/msgpack";
import { EventSinkUnavailable } from "../../domain/errors.ts";
import type { AgentId } from "../../domain/ids.ts";
import type { AgentEvent, AgentInfo } from "../../domain/kernel/events.ts";
import type { EventSink } from "../../src/ports/event_sink.ts";
import type { Frames, MessageSocket, MessageSockets } from "../../src/ports/message_sockets.ts";

/** An event's name and arguments as the manager of that generation takes them. Source: 02 §2. */
export interface PushedEvent {
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface PushEventSinkOptions {
  readonly sockets: MessageSockets;
  /** `HOST:PORT` or `[v6]:PORT`, as `nodes/manager/event_addr` has it. */
  readonly address: string;
  readonly agentId: AgentId;
  readonly encodeEvent: (event: AgentEvent) => PushedEvent;
  readonly encodeHeartbeat: (info: AgentInfo) => PushedEvent;
}

const LINGER_MS = 50; // Source: 02 §2
/** What waits for an absent manager is kept up to this size, beyond the messages that the library keeps. */
const MAX_WAITING_BYTES = 4 << 20;

/**
 * {@linkcode EventSink} of the managers with an event port: ZeroMQ PUSH (02 §2).
 *
 * Best effort: the transport has no acknowledgement. `publish` resolves once the event is queued in order, so an event is
 * lost without a sign when the manager goes away before it has read it, or does not come back before this agent ends.
 * While too much waits for an absent manager, events are refused.
 * Heartbeats have a socket of their own, where two at most wait; further ones are refused (02-D8).
 */
export class PushEventSink implements EventSink, Disposable {
  readonly #options: PushEventSinkOptions;
  readonly #events: MessageSocket;
  readonly #heartbeats: MessageSocket;

  constructor(options: PushEventSinkOptions) {
    this.#options = options;
    this.#events = options.sockets.open("push", { lingerMs: LINGER_MS });
    this.#heartbeats = options.sockets.open("push", { lingerMs: 0, highWaterMark: 1 });
    for (const socket of [this.#events, this.#heartbeats]) socket.connect(`tcp://${options.address}`);
  }

  // async, so that a failure comes as a rejection
  // deno-lint-ignore require-await
  async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    refuseAbove(MAX_WAITING_BYTES, this.#events, `publish "${event.kind}"`);
    this.#events.send(this.#frames(this.#options.encodeEvent(event)));
  }

  // deno-lint-ignore require-await
  async heartbeat(info: AgentInfo, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    refuseAbove(0, this.#heartbeats, "publish a heartbeat");
    this.#heartbeats.send(this.#frames(this.#options.encodeHeartbeat(info)));
  }

  /** What waits is given {@linkcode LINGER_MS}. Idempotent. */
  [Symbol.dispose](): void {
    this.#events.close();
    this.#heartbeats.close();
  }

  /** Event name, agent id, arguments. Source: 02 §2. */
  #frames({ name, args }: PushedEvent): Frames {
    const text = new TextEncoder();
    return [text.encode(name), text.encode(this.#options.agentId), encode(args)];
  }
}

function refuseAbove(limit: number, { waitingBytes }: MessageSocket, attempt: string): void {
  if (waitingBytes <= limit) return;
  throw new EventSinkUnavailable(attempt, { cause: new Error(`${waitingBytes} bytes wait for the manager`) });
}

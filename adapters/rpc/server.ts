import { AgentStopping, StartFailed } from "../../domain/errors.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Log } from "../../src/ports/log.ts";
import type { Frames, MessageSocket, MessageSockets } from "../../src/ports/message_sockets.ts";
import { type Call, decodeRequest, encodeReply, type Reply, type Sender } from "./codec.ts";
import { errorReply, isBug, MethodNotFound, ParametersError } from "./error_reply.ts";
import type { MethodTable } from "./methods.ts";
import { bindParameters } from "./parameters.ts";

/** The largest frame a manager sends: files of just under 1 MiB, and code. A peer that sends more is disconnected. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** Calls under way; further ones are refused, so that a flood of waiting calls cannot take all memory. */
const MAX_CALLS = 4_096;
const LINGER_MS = 200;

export interface RpcServerOptions {
  readonly sockets: MessageSockets;
  /** `tcp://HOST:PORT`; the host is an IP literal, IPv6 in brackets. */
  readonly endpoint: string;
  readonly methods: MethodTable;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Serves a manager over ZeroMQ, the dialect of aiozmq (01). Every message with a readable header gets exactly one answer:
 * also what cannot be decoded, what fails, and what is cancelled at the end (01-D1, 01-D2). Calls run concurrently and
 * are answered in the order of their completion.
 */
export class RpcServer {
  readonly #options: RpcServerOptions;
  readonly #calls = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #socket: MessageSocket | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
  }

  /** Takes the endpoint; requests wait from then on. Returns it with the real port. @throws {StartFailed} */
  async bind(): Promise<string> {
    const { sockets, endpoint } = this.#options;
    const socket = sockets.open("router", { lingerMs: LINGER_MS, maxMessageBytes: MAX_FRAME_BYTES });
    try {
      const bound = await socket.bind(endpoint);
      this.#socket = socket;
      return bound;
    } catch (error) {
      socket.close();
      throw new StartFailed(`cannot listen on "${endpoint}"; does another agent run there?`, { cause: error });
    }
  }

  /** Serves the requests that wait, and all that come. */
  serve(): void {
    this.#socket?.onMessage((frames) => this.#receive(frames));
  }

  /** Takes no further requests, cancels those under way, and closes when each has been answered. Idempotent. */
  async close(): Promise<void> {
    this.#socket?.pause();
    this.#stop.abort(new AgentStopping());
    while (this.#calls.size > 0) await Promise.all(this.#calls);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #receive(frames: Frames): void {
    const request = decodeRequest(frames);
    if (request === undefined) {
      this.#options.log.warn("message without a request header dropped", { frames: frames.length });
      return;
    }
    const { prefix, id, call, problem } = request;
    let result: unknown;
    try {
      if (call === undefined) throw new ParametersError(problem);
      result = this.#dispatch(call);
    } catch (error) {
      return this.#fail(prefix, id, { error, method: call?.method });
    }
    if (!(result instanceof Promise)) return this.#answer(prefix, { id, ok: true, value: result });
    this.#track(result.then(
      (value) => this.#answer(prefix, { id, ok: true, value }),
      (error) => this.#fail(prefix, id, { error, method: call.method }),
    ));
  }

  #dispatch(call: Call): unknown {
    const method = this.#options.methods.get(call.method);
    if (method === undefined) throw new MethodNotFound(call.method);
    const args = bindParameters(method.parameters, call);
    this.#stop.signal.throwIfAborted();
    if (this.#calls.size >= MAX_CALLS) throw new ParametersError(`${MAX_CALLS} calls are under way already`);
    return method.call(args, this.#stop.signal);
  }

  #track(call: Promise<void>): void {
    this.#calls.add(call);
    void call.finally(() => this.#calls.delete(call));
  }

  #fail(prefix: Frames, id: number, { error, method }: { error: unknown; method: string | undefined }): void {
    const { log } = this.#options;
    if (isBug(error)) log.error("RPC call failed: a bug", { method, error });
    else log.debug("RPC call refused", { method, error });
    this.#answer(prefix, { id, ok: false, error: errorReply(error) });
  }

  #answer(prefix: Frames, reply: Reply): void {
    const { sender, clock, log } = this.#options;
    let frames: Frames;
    try {
      frames = encodeReply(prefix, reply, sender, clock.now());
    } catch (error) {
      log.error("RPC reply cannot be encoded: a bug", { error });
      frames = encodeReply(prefix, { id: reply.id, ok: false, error: errorReply(error) }, sender, clock.now());
    }
    this.#socket?.send(frames);
  }
}

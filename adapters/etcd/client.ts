import { Buffer } from "node:buffer";
import type { EventEmitter } from "node:events";
import type * as Grpc from "@grpc/grpc-js";
import type { Etcd3, IKeyValue, IOptions, IRangeRequest } from "etcd3";

export interface EtcdClientOptions {
  readonly host: string;
  readonly port: number;
  /** Blank or absent: no authentication (03 §1). */
  readonly user?: string;
  readonly password?: string;
  readonly deadlineMs: number;
}

/** One key, or with `end` all keys from `key` up to but without `end`. */
export interface KeyRange {
  readonly key: string;
  readonly end?: string;
}

export interface RangeReply {
  /** The store's revision that this is a view of. */
  readonly revision: bigint;
  /** One list of entries per range asked for, each in the order of the keys. */
  readonly ranges: readonly (readonly (readonly [key: string, value: string])[])[];
}

/**
 * The three etcd calls that the agent needs, each with a deadline and a cancellation, none retried.
 *
 * The library's circuit breaker and retries are switched off: the breaker would refuse calls for five seconds after an
 * outage, and the library closes all its channels at every failed call, which leaves one reconnecting channel behind per
 * failure. What remains is the transport's own reconnection, at most a second apart.
 */
export class EtcdClient implements AsyncDisposable {
  readonly #options: EtcdClientOptions;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #library: Promise<Library> | undefined;
  #token: string | undefined;

  constructor(options: EtcdClientOptions) {
    this.#options = options;
  }

  /** Reads all of `ranges` at one revision. */
  async read(ranges: readonly KeyRange[], signal: AbortSignal): Promise<RangeReply> {
    const reply = await this.#call(
      signal,
      (etcd, options) =>
        etcd.kv.txn({ success: ranges.map((range) => ({ request_range: encodeRange(range) })) }, options),
    );
    return {
      revision: BigInt(reply.header.revision),
      ranges: reply.responses.map(({ response_range }) => response_range.kvs.map(decodeEntry)),
    };
  }

  async put(key: string, value: string, signal: AbortSignal): Promise<void> {
    await this.#call(
      signal,
      (etcd, options) => etcd.kv.put({ key: Buffer.from(key), value: Buffer.from(value) }, options),
    );
  }

  /**
   * The first value written to `key` at or after revision `from`, or undefined if there was none within `limitMs`: a
   * connection that is lost silently delivers nothing, so a watch alone must not be waited on for ever.
   * Rejects when the watch breaks.
   */
  async nextPut(
    key: string,
    { from, limitMs }: { from: bigint; limitMs: number },
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const stopping = AbortSignal.any([signal, this.#closing.signal]);
    return await this.#track(async () => {
      const library = await this.#load();
      const token = await this.#authenticate(library, stopping, Date.now() + this.#options.deadlineMs);
      const stream = await library.etcd.watchClient.watch({ interceptors: [interceptor(library, token, stopping)] });
      // The library's own listener would close the channel of the other calls as well. Every stream is an emitter; the
      // library's type just does not say so.
      (stream as unknown as EventEmitter).removeAllListeners("error");
      let timer: ReturnType<typeof setTimeout> | undefined;
      try {
        return await new Promise((resolve, reject) => {
          timer = setTimeout(() => resolve(undefined), limitMs);
          stream.on("error", reject);
          stream.on("end", () => reject(new Error("The watch has ended")));
          stream.on("data", (reply) => {
            if (reply.canceled) return reject(new Error(`The watch was cancelled: ${reply.cancel_reason}`));
            const put = reply.events.find((event) => event.type.toLowerCase() === "put");
            if (put !== undefined) resolve(put.kv.value.toString());
          });
          stream.write({ create_request: { key: Buffer.from(key), start_revision: String(from) } });
        });
      } finally {
        clearTimeout(timer);
        stream.cancel(); // its error listener stays: cancelling is reported as one
      }
    }, signal);
  }

  /** Ends what is running. Closed in the midst of a reconnection, the library needs up to a second more to let go. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error("The etcd client is closed"));
    await Promise.allSettled(this.#running);
    const library = await this.#library?.catch(() => undefined);
    library?.etcd.close();
  }

  /** Aborted once the client is being closed. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** One call under the deadline; a token that the server no longer knows is renewed once (03 §1). */
  #call<T>(signal: AbortSignal, body: (etcd: Etcd3, options: Grpc.CallOptions) => Promise<T>): Promise<T> {
    const deadline = Date.now() + this.#options.deadlineMs;
    return this.#track(async () => {
      const stopping = AbortSignal.any([signal, this.#closing.signal]);
      const library = await this.#load();
      for (let renewed = false;; renewed = true) {
        const token = await this.#authenticate(library, stopping, deadline);
        try {
          return await body(library.etcd, { deadline, interceptors: [interceptor(library, token, stopping)] });
        } catch (error) {
          if (renewed || token === undefined || !isTokenRefused(error)) throw error;
          this.#token = undefined;
        }
      }
    }, signal);
  }

  async #track<T>(body: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const running = body();
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      this.#running.delete(running);
    }
  }

  #load(): Promise<Library> {
    return this.#library ??= loadLibrary(this.#options);
  }

  /** By hand, because the library opens a connection for each token and never closes it. */
  async #authenticate(library: Library, stopping: AbortSignal, deadline: number): Promise<string | undefined> {
    const { user: name, password = "" } = this.#options;
    if (!name) return undefined;
    if (this.#token === undefined) {
      const options = { deadline, interceptors: [interceptor(library, undefined, stopping)] };
      this.#token = (await library.etcd.auth.authenticate({ name, password }, options)).token;
    }
    return this.#token;
  }
}

interface Library {
  readonly etcd: Etcd3;
  readonly grpc: typeof Grpc;
}

/** The library is large, so it is loaded only when a store is really used: standalone mode never does. */
async function loadLibrary({ host, port }: EtcdClientOptions): Promise<Library> {
  const [{ Etcd3 }, grpc] = await Promise.all([import("etcd3"), import("@grpc/grpc-js")]);
  const etcd = new Etcd3({
    hosts: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
    faultHandling: { host: () => PASS_THROUGH, global: PASS_THROUGH },
    grpcOptions: {
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      "grpc.enable_retries": 0,
      "grpc.enable_channelz": 0,
      "grpc.max_receive_message_length": -1,
    },
  });
  return { etcd, grpc };
}

/** A failed call, wrapped so that the library does not recognise it as a reason to throw its channels away. */
class CallFailed extends Error {}

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;
const NEVER = new AbortController().signal;
const PASS_THROUGH = {
  async execute<T>(call: (context: { signal: AbortSignal }) => PromiseLike<T> | T): Promise<T> {
    try {
      return await call({ signal: NEVER });
    } catch (error) {
      throw new CallFailed("The call to etcd failed", { cause: error });
    }
  },
} as Policy; // the library calls execute() alone; the rest of the type are listeners nobody registers

/** Adds the token, ends the call when `stopping` is aborted, and keeps a refused token away from the library. */
function interceptor({ grpc }: Library, token: string | undefined, stopping: AbortSignal): Grpc.Interceptor {
  return (options, nextCall) => {
    const call = new grpc.InterceptingCall(nextCall(options), {
      start(metadata, _listener, next) {
        if (token !== undefined) metadata.set("token", token);
        next(metadata, {
          onReceiveStatus(received, nextStatus) {
            stopping.removeEventListener("abort", cancel);
            nextStatus(
              isStale(received) ? { ...received, code: grpc.status.UNAUTHENTICATED, details: STALE } : received,
            );
          },
        });
        if (stopping.aborted) cancel();
      },
    });
    const cancel = () => call.cancelWithStatus(grpc.status.CANCELLED, "cancelled");
    stopping.addEventListener("abort", cancel, { once: true });
    return call;
  };
}

/** Our own words: by etcd's the library would recognise the refusal, and repeat the call with the same token for ever. */
const STALE = "the token is no longer valid";

function isStale({ details }: Grpc.StatusObject): boolean {
  return details.includes("invalid auth token") || details.includes("revision of auth store is old");
}

function isTokenRefused(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause.message.includes(STALE)) return true;
  }
  return false;
}

function encodeRange({ key, end }: KeyRange): IRangeRequest {
  return end === undefined ? { key: Buffer.from(key) } : { key: Buffer.from(key), range_end: Buffer.from(end) };
}

function decodeEntry(entry: IKeyValue): readonly [string, string] {
  return [entry.key.toString(), entry.value.toString()];
}

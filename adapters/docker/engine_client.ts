import { AgentError, DeadlineExceeded, InvalidField, RuntimeFailed, RuntimeUnavailable } from "../../domain/errors.ts";
import { negotiateVersion } from "./api_version.ts";
import { type Endpoint, endpointText } from "./endpoint.ts";
import { ReplyValue } from "./reply.ts";

export interface EngineRequest {
  /** What is being tried, for error messages: `start a container`. */
  readonly attempt: string;
  readonly method: "GET" | "POST" | "DELETE";
  /** Below the version prefix: `/containers/json`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** Longest time until the whole reply is here; of a stream, until its head is. */
  readonly limitMs?: number;
}

/** Longest time for calls that the engine answers from its own tables. */
const QUICK_MS = 30_000;

/** For what must not be cut off in the middle; every call has its own deadline anyway. */
export const UNCANCELLED: AbortSignal = new AbortController().signal;

/** A complete reply of any status. */
export class EngineReply {
  constructor(readonly attempt: string, readonly status: number, readonly text: string) {}

  /** The engine's words about a refusal. */
  get reason(): string {
    try {
      return new ReplyValue(JSON.parse(this.text)).at("message").text.trim();
    } catch {
      return this.text.trim().slice(0, 500);
    }
  }

  refusal(): RuntimeFailed {
    return new RuntimeFailed(this.attempt, this.status, this.reason);
  }

  /** @throws {RuntimeFailed} if the reply is not what `read` expects. */
  decode<T>(read: (reply: ReplyValue) => T): T {
    try {
      return read(new ReplyValue(JSON.parse(this.text)));
    } catch (error) {
      if (!(error instanceof InvalidField) && !(error instanceof SyntaxError)) throw error;
      throw new RuntimeFailed(this.attempt, this.status, `a reply that cannot be read: ${error.message}`);
    }
  }
}

/** A reply whose body comes piece by piece. Dispose of it to end the exchange. */
export interface EngineStream extends AsyncDisposable {
  readonly status: number;
  readonly headers: Headers;
  /**
   * The body, once. Ends early by throwing what {@linkcode EngineClient} throws.
   * @param idleMs longest time between two pieces; none when undefined
   */
  chunks(idleMs?: number): AsyncIterable<Uint8Array<ArrayBuffer>>;
  /** The whole body, for a refusal. */
  reply(): Promise<EngineReply>;
}

/**
 * HTTP to one engine: the negotiated version prefix, a deadline and a cancellation on every exchange, and every failure to
 * get a reply as {@linkcode RuntimeUnavailable}. Statuses are the caller's to judge.
 */
export class EngineClient implements Disposable {
  readonly endpoint: string;
  readonly #http: Deno.HttpClient;
  #version: string | undefined;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpointText(endpoint);
    // A proxy of transport "tcp" is the engine itself: this way HTTP_PROXY of the environment is never asked.
    this.#http = Deno.createHttpClient({ proxy: endpoint, poolMaxIdlePerHost: 4 });
  }

  /** The negotiated API version, e.g. `1.41`. */
  async version(signal: AbortSignal): Promise<string> {
    if (this.#version !== undefined) return this.#version;
    const request = { attempt: "ask for the engine's version", method: "GET", path: "/version" } as const;
    const reply = await this.#read(request, "", signal);
    if (reply.status !== 200) throw reply.refusal();
    this.#version = reply.decode(negotiateVersion);
    return this.#version;
  }

  /** One exchange, read to its end. */
  async call(request: EngineRequest, signal: AbortSignal): Promise<EngineReply> {
    const version = await this.version(signal);
    return await this.#read(request, `/v${version}`, signal);
  }

  /** One exchange whose body is streamed. `signal` holds for the head and for the body. */
  async open(request: EngineRequest, signal: AbortSignal): Promise<EngineStream> {
    const version = await this.version(signal);
    const exchange = new Exchange(this, request.attempt, signal);
    try {
      exchange.expectWithin(request.limitMs ?? QUICK_MS);
      const response = await this.#send(request, `/v${version}`, exchange.signal);
      exchange.expectWithin(undefined);
      return new BodyStream(request.attempt, response, exchange);
    } catch (error) {
      throw exchange.fail(error);
    }
  }

  [Symbol.dispose](): void {
    this.#http.close();
  }

  /** The engine is out of reach: what answers next may be another version. */
  lost(cause: unknown): RuntimeUnavailable {
    this.#version = undefined;
    return new RuntimeUnavailable(this.endpoint, { cause });
  }

  async #read(request: EngineRequest, prefix: string, signal: AbortSignal): Promise<EngineReply> {
    const exchange = new Exchange(this, request.attempt, signal);
    try {
      exchange.expectWithin(request.limitMs ?? QUICK_MS);
      const response = await this.#send(request, prefix, exchange.signal);
      const text = await response.text();
      exchange.end();
      return new EngineReply(request.attempt, response.status, text);
    } catch (error) {
      throw exchange.fail(error);
    }
  }

  #send(request: EngineRequest, prefix: string, signal: AbortSignal): Promise<Response> {
    const query = request.query === undefined ? "" : `?${new URLSearchParams(request.query)}`;
    // The engine compresses archives when asked, which costs more than a local socket saves.
    const headers: Record<string, string> = { "accept-encoding": "identity", ...request.headers };
    if (request.json !== undefined) headers["content-type"] = "application/json";
    return fetch(`http://engine${prefix}${request.path}${query}`, {
      client: this.#http,
      method: request.method,
      headers,
      body: request.json === undefined ? null : JSON.stringify(request.json),
      redirect: "manual",
      signal,
    });
  }
}

/** The cancellation of one exchange: the caller's signal or a deadline, whichever comes first. */
class Exchange {
  readonly #client: EngineClient;
  readonly #attempt: string;
  readonly #caller: AbortSignal;
  readonly #controller = new AbortController();
  readonly #forward = () => this.#controller.abort(this.#caller.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: EngineClient, attempt: string, caller: AbortSignal) {
    caller.throwIfAborted();
    this.#client = client;
    this.#attempt = attempt;
    this.#caller = caller;
    caller.addEventListener("abort", this.#forward, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Replaces the deadline; undefined takes it away. */
  expectWithin(limitMs: number | undefined): void {
    clearTimeout(this.#timer);
    if (limitMs === undefined) return;
    this.#timer = setTimeout(() => this.#controller.abort(new DeadlineExceeded(this.#attempt, limitMs)), limitMs);
  }

  /** Lets go of the timer and of the caller's signal. Harmless when repeated. */
  end(): void {
    clearTimeout(this.#timer);
    this.#caller.removeEventListener("abort", this.#forward);
  }

  /** Ends the exchange on the wire too. */
  abandon(): void {
    this.end();
    this.#controller.abort();
  }

  /** What to throw for `error`: the caller's own reason, a meaning already found, or that the engine was lost. */
  fail(error: unknown): unknown {
    this.end();
    if (this.#caller.aborted) return this.#caller.reason;
    if (error instanceof AgentError && !(error instanceof DeadlineExceeded)) return error;
    return this.#client.lost(error);
  }
}

class BodyStream implements EngineStream {
  readonly status: number;
  readonly headers: Headers;
  readonly #attempt: string;
  readonly #response: Response;
  readonly #exchange: Exchange;

  constructor(attempt: string, response: Response, exchange: Exchange) {
    this.status = response.status;
    this.headers = response.headers;
    this.#attempt = attempt;
    this.#response = response;
    this.#exchange = exchange;
  }

  async *chunks(idleMs?: number): AsyncIterable<Uint8Array<ArrayBuffer>> {
    const reader = this.#response.body?.getReader();
    if (reader === undefined) return;
    try {
      while (true) {
        this.#exchange.expectWithin(idleMs);
        const { done, value } = await reader.read();
        this.#exchange.expectWithin(undefined);
        if (done) return;
        yield value;
      }
    } catch (error) {
      throw this.#exchange.fail(error);
    } finally {
      reader.releaseLock();
    }
  }

  async reply(): Promise<EngineReply> {
    try {
      this.#exchange.expectWithin(QUICK_MS);
      return new EngineReply(this.#attempt, this.status, await this.#response.text());
    } catch (error) {
      throw this.#exchange.fail(error);
    } finally {
      this.#exchange.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#exchange.abandon();
    // Already failed or read to its end: then there is nothing left to cancel, and nobody to tell.
    await this.#response.body?.cancel().catch(() => {});
  }
}

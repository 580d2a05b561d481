import assert from "node:assert/strict";
import { EngineClient, type EngineRequest } from "../../adapters/docker/engine_client.ts";
import { DeadlineExceeded, RuntimeFailed, RuntimeUnavailable } from "../../domain/errors.ts";

const never = new AbortController().signal;
const reason = new Error("the caller lost interest");
const GET: EngineRequest = { attempt: "look", method: "GET", path: "/thing" };

type Handler = (request: Request, path: string) => Response | Promise<Response>;

/** A client of a server that answers `/version` like an engine, and the rest by `handle`. */
async function clientOf(handle: Handler, version = { ApiVersion: "1.41", MinAPIVersion: "1.12" }) {
  await using undo = new AsyncDisposableStack();
  const paths: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    paths.push(pathname + search);
    return pathname === "/version" ? Response.json(version) : await handle(request, pathname);
  });
  undo.defer(() => server.shutdown());
  const client = undo.use(new EngineClient({ transport: "tcp", hostname: "127.0.0.1", port: server.addr.port }));
  const kept = undo.move();
  return { client, paths, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** A body that begins and never ends, and what becomes of it. */
function endlessBody(): { readonly body: ReadableStream<Uint8Array<ArrayBuffer>>; readonly cancelled: Promise<void> } {
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
    cancel: () => cancelled.resolve(),
  });
  return { body, cancelled: cancelled.promise };
}

Deno.test("EngineClient asks for the version once and puts it in front of every path", async () => {
  await using server = await clientOf(() => Response.json({}));
  await server.client.call({ ...GET, query: { a: "b c" } }, never);
  await server.client.call(GET, never);
  assert.deepEqual(server.paths, ["/version", "/v1.41/thing?a=b+c", "/v1.41/thing"]);
});

Deno.test("EngineClient.call() gives refusals as replies with the engine's words", async () => {
  await using server = await clientOf(() => Response.json({ message: "no such thing\n" }, { status: 404 }));
  const reply = await server.client.call(GET, never);
  assert.deepEqual([reply.status, reply.reason], [404, "no such thing"]);
  assert.equal(reply.refusal().message, "Cannot look: the engine answered 404: no such thing");
});

Deno.test("EngineReply.decode() turns what it cannot read into RuntimeFailed", async () => {
  for (const body of ["<html>", "{}"]) {
    await using server = await clientOf(() => new Response(body));
    const reply = await server.client.call(GET, never);
    assert.throws(() => reply.decode((value) => value.at("Id").text), RuntimeFailed);
  }
});

Deno.test("EngineClient refuses an engine that is too old", async () => {
  await using server = await clientOf(() => Response.json({}), { ApiVersion: "1.24", MinAPIVersion: "1.12" });
  await assert.rejects(server.client.call(GET, never), (error) => {
    return error instanceof RuntimeFailed && /"ApiVersion": expected at least 1\.35, got "1\.24"/.test(error.message);
  });
});

Deno.test("EngineClient.call() ends at its deadline, before the head and inside the body", async () => {
  const silence = Promise.withResolvers<Response>();
  for (const answer of [() => silence.promise, () => new Response(endlessBody().body)]) {
    await using server = await clientOf(answer);
    await assert.rejects(server.client.call({ ...GET, limitMs: 50 }, never), (error) => {
      return error instanceof RuntimeUnavailable && error.cause instanceof DeadlineExceeded;
    });
    silence.resolve(new Response());
  }
});

Deno.test("EngineClient.call() throws the caller's reason, before the head and inside the body", async () => {
  const silence = Promise.withResolvers<Response>();
  for (const answer of [() => silence.promise, () => new Response(endlessBody().body)]) {
    const arrived = Promise.withResolvers<void>();
    await using server = await clientOf(() => {
      arrived.resolve();
      return answer();
    });
    const abort = new AbortController();
    const call = server.client.call(GET, abort.signal);
    await arrived.promise;
    abort.abort(reason);
    await assert.rejects(call, (error) => error === reason);
    silence.resolve(new Response());
  }
});

Deno.test("EngineClient asks for the version again after the engine was out of reach", async () => {
  let broken = true;
  await using server = await clientOf(() => broken ? new Response(endlessBody().body) : Response.json({}));
  await assert.rejects(server.client.call({ ...GET, limitMs: 50 }, never), RuntimeUnavailable);
  broken = false;
  await server.client.call(GET, never);
  assert.equal(server.paths.filter((path) => path === "/version").length, 2);
});

Deno.test("EngineClient.open() streams, and disposal ends the exchange on the wire", async () => {
  const { body, cancelled } = endlessBody();
  await using server = await clientOf(() => new Response(body));
  {
    await using stream = await server.client.open({ ...GET, limitMs: 5_000 }, never);
    for await (const chunk of stream.chunks()) {
      assert.equal(new TextDecoder().decode(chunk), "first");
      break;
    }
  }
  await cancelled;
});

Deno.test("EngineStream.chunks() throws the caller's reason while it waits", async () => {
  await using server = await clientOf(() => new Response(endlessBody().body));
  const abort = new AbortController();
  await using stream = await server.client.open(GET, abort.signal);
  await assert.rejects(async () => {
    for await (const _ of stream.chunks()) abort.abort(reason);
  }, (error) => error === reason);
});

Deno.test("EngineStream.chunks() ends when nothing comes for too long", async () => {
  await using server = await clientOf(() => new Response(endlessBody().body));
  await using stream = await server.client.open(GET, never);
  await assert.rejects(Array.fromAsync(stream.chunks(50)), (error) => {
    return error instanceof RuntimeUnavailable && error.cause instanceof DeadlineExceeded;
  });
});

Deno.test("EngineClient does not ask a proxy of the environment", async () => {
  Deno.env.set("HTTP_PROXY", "http://127.0.0.1:1");
  try {
    await using server = await clientOf(() => Response.json({}));
    assert.equal((await server.client.call(GET, never)).status, 200);
  } finally {
    Deno.env.delete("HTTP_PROXY");
  }
});

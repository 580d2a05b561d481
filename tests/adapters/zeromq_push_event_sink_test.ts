import assert from "node:assert/strict";
import { decode } from "@msgpack/msgpack";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { FakeMessageSockets } from "../../adapters/fake/message_sockets.ts";
import { encodeHeartbeat, encodeLegacyEvent } from "../../adapters/redis/event_codec.ts";
import { PushEventSink } from "../../adapters/zeromq/push_event_sink.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { parseAgentId, parseKernelId } from "../../domain/ids.ts";
import type { AgentEvent } from "../../domain/kernel/events.ts";
import type { MessageSockets } from "../../src/ports/message_sockets.ts";
import { EVERY_EVENT, heartbeatOf } from "../contract/event_sink.ts";
import { Inbox } from "./message_inbox.ts";
import { pythonWith } from "./python_peer.ts";

const python = await pythonWith("msgpack", ["msgpack==1.1.0", "python-snappy==0.7.3", "pyzmq==26.2.0"]);
const signal = new AbortController().signal;
const reason = new Error("the caller lost interest");
const kernelId = parseKernelId("d5cf3a27-c8f4-4e2d-a2a4-41f0b6c1e2d3");
const started: AgentEvent = { kind: "kernel_started", kernelId };

const ADDRESS = "[fd00::1]:5002";

function openSockets(): FakeMessageSockets {
  return new FakeMessageSockets({ log: new MemoryLog() });
}

function openSink(sockets: MessageSockets, address: string): PushEventSink {
  const agentId = parseAgentId("i-worker1");
  return new PushEventSink({ sockets, address, agentId, encodeEvent: encodeLegacyEvent, encodeHeartbeat });
}

/** What comes at the manager's event port from now on, as [name, agent, arguments]. */
async function openManager(sockets: MessageSockets): Promise<{ take(count: number): Promise<unknown[][]> }> {
  const socket = sockets.open("pull", { lingerMs: 0 });
  const inbox = new Inbox(socket);
  await socket.bind(`tcp://${ADDRESS}`);
  return {
    async take(count) {
      const messages = await inbox.take(count);
      const text = new TextDecoder();
      return messages.map(([name, agent, args]) => [text.decode(name), text.decode(agent), args && decode(args)]);
    },
  };
}

Deno.test("[02 §2] publish() sends name, agent id and arguments to the manager's address, in order", async () => {
  const sockets = openSockets();
  const manager = await openManager(sockets);
  using sink = openSink(sockets, ADDRESS);
  await sink.publish({ kind: "kernel_terminated", kernelId, reason: "self-terminated", exitCode: null }, signal);
  await sink.publish({ kind: "instance_started", reason: "self-started" }, signal);
  assert.deepEqual(await manager.take(2), [
    ["kernel_terminated", "i-worker1", [kernelId, "self-terminated", null]],
    ["instance_started", "i-worker1", []],
  ]);
});

Deno.test("publish() keeps events for an absent manager, and refuses them while too much waits", async () => {
  const sockets = openSockets();
  using sink = openSink(sockets, ADDRESS);
  for (let i = 0; i < 1_000; i++) await sink.publish(started, signal); // what the library takes
  await sink.publish({ kind: "kernel_pulling", kernelId, image: "x".repeat(5 << 20) }, signal);
  await assert.rejects(sink.publish(started, signal), { code: "event_sink_unavailable" });
  const manager = await openManager(sockets);
  assert.equal((await manager.take(1_001)).at(-1)?.[0], "kernel_pulling");
  await sink.publish(started, signal);
  assert.deepEqual(await manager.take(1), [["kernel_started", "i-worker1", [kernelId]]]);
});

Deno.test("[02-D8] heartbeat() refuses heartbeats while one waits for an absent manager", async () => {
  const sockets = openSockets();
  using sink = openSink(sockets, ADDRESS);
  for (const version of ["1", "2"]) await sink.heartbeat(heartbeatOf(version), signal);
  await assert.rejects(sink.heartbeat(heartbeatOf("3"), signal), { code: "event_sink_unavailable" });
  await sink.publish(started, signal);
  const manager = await openManager(sockets);
  const names = (await manager.take(3)).map(([name]) => name);
  assert.deepEqual(names.sort(), ["instance_heartbeat", "instance_heartbeat", "kernel_started"]);
  await sink.heartbeat(heartbeatOf("4"), signal);
  assert.equal((await manager.take(1))[0]?.[0], "instance_heartbeat");
});

Deno.test("[02 §2] at the end an absent manager has 50 ms to come for its events", async () => {
  for (const [ms, first] of [[49, "kernel_started"], [50, "instance_started"]] as const) {
    const sockets = openSockets();
    const sink = openSink(sockets, ADDRESS);
    await sink.publish(started, signal);
    sink[Symbol.dispose]();
    sockets.elapse(ms);
    const manager = await openManager(sockets);
    using next = openSink(sockets, ADDRESS);
    await next.publish({ kind: "instance_started", reason: "self-started" }, signal);
    assert.equal((await manager.take(1))[0]?.[0], first);
  }
});

Deno.test("both methods throw the signal's reason if it is aborted", async () => {
  const sockets = openSockets();
  const manager = await openManager(sockets);
  using sink = openSink(sockets, ADDRESS);
  const aborted = AbortSignal.abort(reason);
  await assert.rejects(sink.publish(started, aborted), reason);
  await assert.rejects(sink.heartbeat(heartbeatOf("1"), aborted), reason);
  await sink.publish({ kind: "instance_started", reason: "self-started" }, signal);
  assert.equal((await manager.take(1))[0]?.[0], "instance_started");
});

/** A manager's event port: prints one JSON line for its port, then one for each message. */
const PULL = `
import json, sys, msgpack, zmq
socket = zmq.Context().socket(zmq.PULL)
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
for _ in range(int(sys.argv[1])):
    name, agent, args = socket.recv_multipart()
    args = msgpack.unpackb(args, raw=False, use_list=False)
    if name == b"instance_heartbeat":
        args = [args[0]["version"]]
    print(json.dumps([name.decode("ascii"), agent.decode("utf8"), args]), flush=True)
`;

Deno.test({
  name: "[02 §2] a Python PULL socket gets every event in order, and heartbeats",
  ignore: python === undefined,
  async fn() {
    const expected = EVERY_EVENT.map(([event]) => encodeLegacyEvent(event)).map(({ name, args }) => [name, args]);
    const count = String(expected.length + 1);
    const child = new Deno.Command(python ?? "", { args: ["-c", PULL, count], stdout: "piped", stderr: "null" })
      .spawn();
    await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
    try {
      const lines = linesOf(child.stdout);
      const port = (await lines.next()).value;
      using sink = openSink(sockets, `127.0.0.1:${port}`);
      for (const [event] of EVERY_EVENT) await sink.publish(event, signal);
      await sink.heartbeat(heartbeatOf("19.09.5"), signal);
      const got: [string, string, unknown[]][] = [];
      for await (const line of lines) got.push(JSON.parse(line));
      const heartbeats = got.filter(([name]) => name === "instance_heartbeat");
      assert.deepEqual(heartbeats, [["instance_heartbeat", "i-worker1", ["19.09.5"]]]);
      const events = got.filter(([name]) => name !== "instance_heartbeat");
      assert.deepEqual(events.map(([name, , args]) => [name, args]), expected);
    } finally {
      try {
        child.kill("SIGKILL");
      } catch {
        // it has ended by itself
      }
      await child.status;
    }
  },
});

async function* linesOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

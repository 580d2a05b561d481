import assert from "node:assert/strict";
import { decode } from "@msgpack/msgpack";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { encodeHeartbeat, encodeLegacyEvent } from "../../adapters/redis/event_codec.ts";
import { PushEventSink } from "../../adapters/zeromq/push_event_sink.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { parseAgentId, parseKernelId } from "../../domain/ids.ts";
import type { AgentEvent } from "../../domain/kernel/events.ts";
import type { Frames, MessageSocket, MessageSockets, SocketOptions } from "../../src/ports/message_sockets.ts";
import { EVERY_EVENT, heartbeatOf } from "../contract/event_sink.ts";
import { pythonWith } from "./python_peer.ts";

const python = await pythonWith("msgpack", ["msgpack==1.1.0", "python-snappy==0.7.3", "pyzmq==26.2.0"]);
const signal = new AbortController().signal;
const reason = new Error("the caller lost interest");
const kernelId = parseKernelId("d5cf3a27-c8f4-4e2d-a2a4-41f0b6c1e2d3");
const started: AgentEvent = { kind: "kernel_started", kernelId };

/** Sockets that take `capacity` messages, then let the rest wait. */
class StuckSockets implements MessageSockets {
  readonly opened: { options: SocketOptions; sent: Frames[]; endpoint?: string }[] = [];
  constructor(public capacity: number) {}

  open(_type: "push", options: SocketOptions): MessageSocket {
    const socket: (typeof this.opened)[number] = { options, sent: [] };
    this.opened.push(socket);
    const waitingBytes = () => socket.sent.slice(this.capacity).flat().reduce((sum, { length }) => sum + length, 0);
    return {
      bind: () => Promise.reject(new Error("a push sink does not bind")),
      connect: (endpoint) => void (socket.endpoint = endpoint),
      onMessage: () => {},
      send(frames) {
        socket.sent.push(frames);
        return waitingBytes();
      },
      get waitingBytes() {
        return waitingBytes();
      },
      pause: () => {},
      resume: () => {},
      close: () => {},
    };
  }
}

function openSink(sockets: MessageSockets, address: string): PushEventSink {
  const agentId = parseAgentId("i-worker1");
  return new PushEventSink({ sockets, address, agentId, encodeEvent: encodeLegacyEvent, encodeHeartbeat });
}

Deno.test("[02 §2] publish() sends name, agent id and arguments to the manager's address", async () => {
  const sockets = new StuckSockets(10);
  using sink = openSink(sockets, "[fd00::1]:5002");
  await sink.publish({ kind: "kernel_terminated", kernelId, reason: "self-terminated", exitCode: null }, signal);
  await sink.publish({ kind: "instance_started", reason: "self-started" }, signal);
  const [events] = sockets.opened;
  assert.ok(events);
  assert.deepEqual([events.endpoint, events.options.lingerMs], ["tcp://[fd00::1]:5002", 50]);
  const read = events.sent.map(([name, agent, args]) => {
    assert.ok(name && agent && args);
    return [new TextDecoder().decode(name), new TextDecoder().decode(agent), decode(args)];
  });
  assert.deepEqual(read, [
    ["kernel_terminated", "i-worker1", [kernelId, "self-terminated", null]],
    ["instance_started", "i-worker1", []],
  ]);
});

Deno.test("publish() refuses events while too much waits for an absent manager", async () => {
  const sockets = new StuckSockets(0);
  using sink = openSink(sockets, "127.0.0.1:5002");
  const huge: AgentEvent = { kind: "kernel_pulling", kernelId, image: "x".repeat(5 << 20) };
  await sink.publish(huge, signal);
  await assert.rejects(sink.publish(started, signal), { code: "event_sink_unavailable" });
  sockets.capacity = 10;
  await sink.publish(started, signal);
  assert.equal(sockets.opened[0]?.sent.length, 2);
});

Deno.test("[02-D8] heartbeat() refuses heartbeats while one waits for an absent manager", async () => {
  const sockets = new StuckSockets(1);
  using sink = openSink(sockets, "127.0.0.1:5002");
  await sink.heartbeat(heartbeatOf("1"), signal);
  await sink.heartbeat(heartbeatOf("2"), signal);
  await assert.rejects(sink.heartbeat(heartbeatOf("3"), signal), { code: "event_sink_unavailable" });
  await sink.publish(started, signal);
  sockets.capacity = 10;
  await sink.heartbeat(heartbeatOf("4"), signal);
  assert.deepEqual(sockets.opened.map(({ sent }) => sent.length), [1, 3]);
});

Deno.test("both methods throw the signal's reason if it is aborted", async () => {
  const sockets = new StuckSockets(1);
  using sink = openSink(sockets, "127.0.0.1:5002");
  const aborted = AbortSignal.abort(reason);
  await assert.rejects(sink.publish(started, aborted), reason);
  await assert.rejects(sink.heartbeat(heartbeatOf("1"), aborted), reason);
  assert.deepEqual(sockets.opened.flatMap(({ sent }) => sent), []);
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

/** The sockets against pyzmq: libzmq as managers have it. */
import assert from "node:assert/strict";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { ChildServer } from "./child_server.ts";
import { eventually, Inbox } from "./message_inbox.ts";
import { pythonWith } from "./python_peer.ts";

const python = await pythonWith("msgpack", ["msgpack==1.1.0", "python-snappy==0.7.3", "pyzmq==26.2.0"]);
const SCRIPT = new URL("../fixtures/peers/zeromq_peer.py", import.meta.url).pathname;
const ignore = python === undefined;

function peer(...args: string[]): Promise<ChildServer> {
  return ChildServer.start(python ?? "", [SCRIPT, ...args]);
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test({ name: "16 clients come, ask and leave, and none misses an answer", ignore }, async () => {
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  const server = sockets.open("router", { lingerMs: 0 });
  const endpoint = await server.bind("tcp://127.0.0.1:0");
  let asked = 0;
  server.onMessage((frames) => {
    asked++;
    server.send(frames);
  });
  const args = [SCRIPT, "clients", endpoint, "16", "20", "30"];
  const { stdout } = await new Deno.Command(python ?? "", { args }).output();
  const total = 16 * 20 * 30;
  assert.deepEqual(JSON.parse(new TextDecoder().decode(stdout)), { asked: total, answered: total });
  assert.equal(asked, total);
});

Deno.test({ name: "a client goes on after its peer was killed and has come back", ignore }, async () => {
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  const client = sockets.open("dealer", { lingerMs: 0 });
  const answers = new Inbox(client);
  let endpoint = "tcp://127.0.0.1:*";
  for (let life = 0; life < 3; life++) {
    await using server = await peer("echo", endpoint);
    if (life === 0) client.connect(server.endpoint);
    endpoint = server.endpoint;
    // What was on its way when the peer died is lost, and the client cannot know
    const asking = setInterval(() => client.send([bytes(`life ${life}`)]), 20);
    let text = "";
    while (text !== `life ${life}`) [text = ""] = await answers.texts();
    clearInterval(asking);
  }
});

Deno.test({ name: "frames of several MiB go there and back unchanged", ignore }, async () => {
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  await using server = await peer("echo", "tcp://127.0.0.1:*");
  const client = sockets.open("dealer", { lingerMs: 0 });
  const answers = new Inbox(client);
  client.connect(server.endpoint);
  for (const size of [1, 1024 ** 2 + 1, 9 * 1024 ** 2]) {
    const sent = Uint8Array.from({ length: size }, (_, i) => (i * 17 + (i >> 8)) & 0xff);
    client.send([sent, new Uint8Array(0)]);
    const [[frame = bytes(""), empty] = []] = await answers.take(1);
    assert.equal(frame.length, size);
    assert.ok(frame.every((byte, at) => byte === sent[at]));
    assert.equal(empty?.length, 0);
  }
});

Deno.test({ name: "a peer that floods one socket does not keep another waiting", ignore }, async () => {
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  const flooded = sockets.open("pull", { lingerMs: 0 });
  let floods = 0;
  flooded.onMessage(() => floods++);
  const endpoint = await flooded.bind("tcp://127.0.0.1:0");
  await using _flood = await peer("flood", endpoint);
  await using echo = await peer("echo", "tcp://127.0.0.1:*");
  await eventually(() => floods > 5_000, "the flood is there");
  const client = sockets.open("dealer", { lingerMs: 0 });
  const answers = new Inbox(client);
  client.connect(echo.endpoint);
  for (let i = 0; i < 200; i++) {
    client.send([bytes(`${i}`)]);
    assert.deepEqual(await answers.texts(), [`${i}`]);
  }
  const before = floods;
  await eventually(() => floods > before + 5_000, "the flood goes on");
});

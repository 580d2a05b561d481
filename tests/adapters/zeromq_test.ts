import assert from "node:assert/strict";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import type { MessageSocket, SocketOptions, SocketType } from "../../src/ports/message_sockets.ts";
import { eventually, Inbox } from "./message_inbox.ts";

const MIB = 1024 ** 2;
const LOOPBACK = "tcp://127.0.0.1:0";

class Sockets extends ZeroMqSockets {
  readonly log: MemoryLog;
  constructor() {
    const log = new MemoryLog();
    super({ log });
    this.log = log;
  }

  /** Two connected sockets; the first has bound. */
  async pair(types: readonly [SocketType, SocketType], options: Partial<SocketOptions> = {}) {
    const [bound, connected] = types.map((type) => this.open(type, { lingerMs: 5_000, ...options }));
    assert.ok(bound && connected);
    const endpoint = await bound.bind(LOOPBACK);
    connected.connect(endpoint);
    return { bound, connected, endpoint };
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function echo(socket: MessageSocket): void {
  socket.onMessage((frames) => socket.send(frames));
}

/** Bytes that differ at every place. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}

function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

Deno.test("npm:zeromq by its own means still loses wake-ups under this Deno", async () => {
  const peer = new URL("../fixtures/peers/lost_wake_up.ts", import.meta.url).pathname;
  const args = ["run", "--quiet", "--no-check", "--allow-all", peer];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
  const outcome = new TextDecoder().decode(stdout).trim();
  const [major = 0, minor = 0, patch = 0] = Deno.version.deno.split(".").map((part) => Number.parseInt(part));
  if (major === 2 && (minor < 9 || (minor === 9 && patch <= 8))) {
    assert.equal(outcome, "lost"); // else the reproduction is wrong: these versions are known to lose them
  } else if (outcome !== "lost") {
    assert.equal(outcome, "received");
    console.log(`note: Deno ${Deno.version.deno} loses no wake-ups any more: adapters/zeromq can become simpler`);
  }
});

Deno.test("bind() gives the real port, and rejects an address that is taken", async () => {
  await using sockets = new Sockets();
  const first = sockets.open("router", { lingerMs: 0 });
  const endpoint = await first.bind(LOOPBACK);
  assert.match(endpoint, /^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/);
  await assert.rejects(sockets.open("router", { lingerMs: 0 }).bind(endpoint), { code: "EADDRINUSE" });
  assert.match(await sockets.open("pull", { lingerMs: 0 }).bind("tcp://[::1]:0"), /^tcp:\/\/\[::1\]:[1-9]\d+$/);
});

Deno.test("connect() connects later when nobody listens yet", async () => {
  await using sockets = new Sockets();
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const endpoint = `tcp://127.0.0.1:${probe.addr.port}`;
  probe.close();
  const client = sockets.open("dealer", { lingerMs: 0 });
  const answers = new Inbox(client);
  client.connect(endpoint);
  client.send([bytes("early")]);
  const server = sockets.open("router", { lingerMs: 0 });
  await server.bind(endpoint);
  echo(server);
  assert.deepEqual(await answers.texts(), ["early"]);
});

Deno.test("onMessage() gives messages that came before it, in order, each exactly once", async () => {
  await using sockets = new Sockets();
  const { bound: pull, connected: push } = await sockets.pair(["pull", "push"]);
  const sent = Array.from({ length: 3_000 }, (_, i) => `${i}`);
  for (const text of sent) push.send([bytes(text), bytes("")]);
  const inbox = new Inbox(pull);
  const received = (await inbox.take(sent.length)).map(([first]) => new TextDecoder().decode(first));
  assert.deepEqual(received, sent);
});

Deno.test("a message handler that throws is logged and does not end the service", async () => {
  await using sockets = new Sockets();
  const { bound, connected } = await sockets.pair(["router", "dealer"]);
  let failed = false;
  bound.onMessage((frames) => {
    if (!failed) {
      failed = true;
      throw new Error("planned");
    }
    bound.send(frames);
  });
  const answers = new Inbox(connected);
  connected.send([bytes("a")]);
  connected.send([bytes("b")]);
  assert.deepEqual(await answers.texts(), ["b"]);
  assert.deepEqual(sockets.log.messages("error"), ["handling a message failed"]);
});

Deno.test("frames of any size arrive as they were sent, views into larger buffers included", async () => {
  await using sockets = new Sockets();
  const { bound, connected } = await sockets.pair(["router", "dealer"]);
  echo(bound);
  const answers = new Inbox(connected);
  const whole = pattern(5 * MIB + 11);
  const sizes = [0, 1, 127, 128, 129, 65_536, MIB, MIB + 1, 5 * MIB];
  const sent = sizes.map((size) => [whole.subarray(11, 11 + size), new Uint8Array(0), whole.subarray(3, 3 + size)]);
  for (const frames of sent) connected.send(frames);
  for (const [index, frames] of (await answers.take(sent.length)).entries()) {
    assert.equal(frames.length, 3);
    for (const [i, frame] of frames.entries()) {
      const right = sent[index]?.[i] ?? bytes("none");
      assert.equal(frame.length, right.length);
      assert.ok(frame.every((byte, at) => byte === right[at]), `frame of ${right.length} bytes`);
    }
  }
});

Deno.test("pause() makes the peer wait, resume() gives everything that waited, in order", async () => {
  await using sockets = new Sockets();
  const { bound: pull, connected: push } = await sockets.pair(["pull", "push"], { highWaterMark: 4 });
  const inbox = new Inbox(pull);
  push.send([bytes("first")]);
  await inbox.take(1);
  pull.pause();
  pull.pause();
  const body = new Uint8Array(256 * 1024);
  let waiting = 0;
  for (let i = 0; i < 200; i++) waiting = push.send([bytes(`${i}`), body]);
  assert.ok(waiting > 10 * MIB, "50 MiB do not fit into what the library and the system keep");
  assert.equal(push.waitingBytes, waiting);
  const before = inbox.received;
  await new Promise((resolve) => setTimeout(resolve, 100)); // nothing may come: there is no event to wait for
  assert.equal(inbox.received, before);
  pull.resume();
  const names = (await inbox.take(200)).map(([name]) => new TextDecoder().decode(name));
  assert.deepEqual(names, Array.from({ length: 200 }, (_, i) => `${i}`));
  await eventually(() => push.waitingBytes === 0, "the queue is empty");
});

Deno.test("send() keeps messages for a peer that is not there yet, and never blocks", async () => {
  await using sockets = new Sockets();
  const push = sockets.open("push", { lingerMs: 0, highWaterMark: 2 });
  push.connect("tcp://127.0.0.1:1"); // nobody listens there
  let waiting = 0;
  for (let i = 0; i < 1_000; i++) waiting = push.send([bytes("x".repeat(100))]);
  assert.ok(waiting >= 99_000, `${waiting}`);
});

Deno.test("close() delivers what was sent, within the linger time", async () => {
  await using sockets = new Sockets();
  for (const highWaterMark of [0, 3]) {
    const { bound: pull, connected: push } = await sockets.pair(["pull", "push"], { highWaterMark });
    const inbox = new Inbox(pull);
    for (let i = 0; i < 2_000; i++) push.send([bytes(`${i}`), new Uint8Array(2_000)]);
    push.close();
    push.close();
    push.send([bytes("late")]);
    const names = (await inbox.take(2_000)).map(([name]) => new TextDecoder().decode(name));
    assert.deepEqual(names, Array.from({ length: 2_000 }, (_, i) => `${i}`));
    assert.equal(inbox.received, 2_000);
  }
  assert.deepEqual(sockets.log.entries, []);
});

Deno.test("close() gives up after the linger time when the peer takes nothing", async () => {
  const sockets = new Sockets();
  const push = sockets.open("push", { lingerMs: 50, highWaterMark: 2 });
  push.connect("tcp://127.0.0.1:1"); // nobody listens there
  for (let i = 0; i < 10; i++) push.send([bytes("x")]);
  push.close();
  await sockets[Symbol.asyncDispose]();
  await sockets[Symbol.asyncDispose]();
  assert.equal(sockets.log.messages("warn").length, 1);
  assert.throws(() => sockets.open("push", { lingerMs: 0 }));
});

Deno.test("disposal returns when the library has sent what it took", async () => {
  await using receivers = new Sockets();
  const pull = receivers.open("pull", { lingerMs: 0, highWaterMark: 0 });
  const endpoint = await pull.bind(LOOPBACK);
  const inbox = new Inbox(pull);
  {
    await using sockets = new Sockets();
    const push = sockets.open("push", { lingerMs: 5_000, highWaterMark: 0 });
    push.connect(endpoint);
    for (let i = 0; i < 100; i++) push.send([new Uint8Array(MIB / 4)]);
  }
  assert.equal((await inbox.take(100)).length, 100);
});

Deno.test("close() inside a message handler ends the service of that socket alone", async () => {
  await using sockets = new Sockets();
  const { bound: pull, connected: push } = await sockets.pair(["pull", "push"]);
  let received = 0;
  pull.onMessage(() => {
    received++;
    pull.close();
  });
  for (let i = 0; i < 10; i++) push.send([bytes("x")]);
  await eventually(() => received > 0, "the first message");
  const other = await sockets.pair(["router", "dealer"]);
  echo(other.bound);
  const answers = new Inbox(other.connected);
  other.connected.send([bytes("still here")]);
  assert.deepEqual(await answers.texts(), ["still here"]);
  assert.equal(received, 1);
});

Deno.test("a peer that sends a longer frame than allowed is disconnected, the others are served on", async () => {
  await using sockets = new Sockets();
  const server = sockets.open("router", { lingerMs: 0, maxMessageBytes: 1_000 });
  const endpoint = await server.bind(LOOPBACK);
  echo(server);
  const [good, bad] = [0, 1].map(() => sockets.open("dealer", { lingerMs: 0 }));
  assert.ok(good && bad);
  const answers = [good, bad].map((socket) => new Inbox(socket));
  for (const socket of [good, bad]) socket.connect(endpoint);
  bad.send([new Uint8Array(1_001)]);
  for (let i = 0; i < 50; i++) {
    good.send([bytes(`${i}`)]);
    assert.deepEqual(await answers[0]?.texts(), [`${i}`]);
  }
  bad.send([bytes("short")]); // it has connected again
  assert.deepEqual(await answers[1]?.texts(), ["short"]);
  assert.equal(answers[1]?.received, 1);
});

Deno.test("a router keeps what a slow peer should get, and holds up nobody else", async () => {
  await using sockets = new Sockets();
  const server = sockets.open("router", { lingerMs: 0, highWaterMark: 5 });
  const endpoint = await server.bind(LOOPBACK);
  const body = pattern(128 * 1024);
  server.onMessage(([identity = bytes(""), text = bytes("")]) => {
    for (let i = 0; i < 100; i++) server.send([identity, text, bytes(`${i}`), body]);
  });
  const [slow, quick] = [0, 1].map(() => sockets.open("dealer", { lingerMs: 0, highWaterMark: 5 }));
  assert.ok(slow && quick);
  const [late, answers] = [new Inbox(slow), new Inbox(quick)];
  slow.pause();
  for (const socket of [slow, quick]) {
    socket.connect(endpoint);
    socket.send([bytes("all")]);
  }
  const numbers = Array.from({ length: 100 }, (_, i) => `${i}`);
  for (const inbox of [answers, late]) {
    const received = await inbox.take(100);
    assert.deepEqual(received.map((frames) => new TextDecoder().decode(frames[1])), numbers);
    assert.ok(received.every(([, , data]) => data?.length === body.length));
    assert.ok(inbox === late || server.waitingBytes > MIB, "what the slow one should get waits here");
    slow.resume();
  }
  await eventually(() => server.waitingBytes === 0, "nothing waits");
  assert.deepEqual(sockets.log.entries, []);
});

Deno.test("signals to the process disturb nothing", async () => {
  let signals = 0;
  const count = () => void signals++;
  Deno.addSignalListener("SIGUSR2", count);
  const killing = `i=0; while [ $i -lt 3000 ]; do kill -USR2 ${Deno.pid}; i=$((i + 1)); done`;
  const killer = new Deno.Command("sh", { args: ["-c", killing] }).spawn();
  let ended = false;
  const end = killer.status.then(() => ended = true);
  {
    await using sockets = new Sockets();
    const { bound, connected } = await sockets.pair(["router", "dealer"]);
    echo(bound);
    const answers = new Inbox(connected);
    for (let i = 0; !ended || i < 1_000; i++) {
      for (let copy = 0; copy < 8; copy++) connected.send([bytes(`${i}`)]);
      for (const [text] of await answers.take(8)) assert.equal(new TextDecoder().decode(text), `${i}`);
    }
    assert.deepEqual(sockets.log.entries, []);
  }
  await end;
  Deno.removeSignalListener("SIGUSR2", count);
  assert.ok(signals > 0);
});

Deno.test("a busy socket does not keep the others waiting", async () => {
  await using sockets = new Sockets();
  const flood = await sockets.pair(["pull", "push"]);
  const one = new Uint8Array(10);
  let floods = 0;
  flood.bound.onMessage(() => {
    floods++;
    for (let i = 0; i < 2; i++) if (flood.connected.waitingBytes < 100_000) flood.connected.send([one]); // never dry
  });
  flood.connected.send([one]);
  const { bound, connected } = await sockets.pair(["router", "dealer"]);
  echo(bound);
  const answers = new Inbox(connected);
  await eventually(() => floods > 5_000, "the flood is there");
  for (let i = 0; i < 100; i++) {
    connected.send([bytes(`${i}`)]);
    assert.deepEqual(await answers.texts(), [`${i}`]);
  }
  const before = floods;
  await eventually(() => floods > before + 1_000, "the flood goes on");
});

Deno.test("sockets that were closed leave no file descriptor", async () => {
  const cycle = async () => {
    await using sockets = new Sockets();
    for (let i = 0; i < 30; i++) {
      const { bound, connected } = await sockets.pair(["router", "dealer"]);
      echo(bound);
      const answers = new Inbox(connected);
      connected.send([bytes("hello")]);
      await answers.take(1);
      if (i % 2 === 0) connected.close();
    }
  };
  await cycle(); // the library makes threads with descriptors of their own, once
  let before = openDescriptors();
  await eventually(() => {
    const now = openDescriptors();
    const settled = now === before;
    before = now;
    return settled;
  }, "the first sockets are gone");
  for (let i = 0; i < 4; i++) await cycle();
  await eventually(() => openDescriptors() <= before, `not more than ${before} descriptors`); // a thread closes them
});

Deno.test("memory of what was sent and received is given back", async () => {
  await using sockets = new Sockets();
  const { bound, connected } = await sockets.pair(["router", "dealer"]);
  echo(bound);
  const answers = new Inbox(connected);
  const round = async (count: number) => {
    for (let i = 0; i < count; i++) {
      connected.send([new Uint8Array(MIB)]);
      await answers.take(1);
    }
  };
  await round(100);
  const before = Deno.memoryUsage().rss;
  await round(400);
  const grown = (Deno.memoryUsage().rss - before) / MIB;
  assert.ok(grown < 200, `${grown} MiB more after 400 MiB there and back`);
});

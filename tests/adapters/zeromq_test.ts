import assert from "node:assert/strict";
import process from "node:process";
import { setImmediate } from "node:timers";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import type { MessageSocket, SocketOptions, SocketType } from "../../src/ports/message_sockets.ts";
import { messageSocketsContract, type MessageSocketsHarness } from "../contract/message_sockets.ts";
import { eventually, Inbox } from "./message_inbox.ts";
import { freePorts } from "./runner_peer.ts";

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

// deno-lint-ignore require-await
async function makeHarness(): Promise<MessageSocketsHarness> {
  const sockets = new Sockets();
  return {
    sockets,
    get logged() {
      return [...sockets.log.messages("warn"), ...sockets.log.messages("error")];
    },
    limitMs: 20_000,
    // Not by binding a socket and closing it: the library's listener goes away a moment later
    unusedEndpoint: () => `tcp://127.0.0.1:${freePorts()[0]}`,
    elapse: () => {},
    [Symbol.asyncDispose]: () => sockets[Symbol.asyncDispose](),
  };
}

messageSocketsContract("ZeroMqSockets", makeHarness);

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

Deno.test("bind() that fails keeps the news of a message that came just before it", async () => {
  await using sockets = new Sockets();
  const { bound: pull, connected: push } = await sockets.pair(["pull", "push"]);
  const inbox = new Inbox(pull);
  push.send([bytes("connected")]);
  await inbox.take(1);
  const { bound: trigger, connected, endpoint: taken } = await sockets.pair(["pull", "push"]);
  trigger.onMessage(() => {
    // The library delivers on threads of its own, while the loop is busy here and waits for nothing
    push.send([bytes("x")]);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    void assert.rejects(pull.bind(taken), { code: "EADDRINUSE" });
  });
  connected.send([bytes("go")]);
  assert.deepEqual(await inbox.texts(), ["x"]);
});

Deno.test("close() of a router right after its answer warns of no lost message", async () => {
  await using sockets = new Sockets();
  const { bound: router, connected } = await sockets.pair(["router", "dealer"], { lingerMs: 0 });
  const closed = Promise.withResolvers<void>();
  router.onMessage((frames) => {
    router.send(frames);
    router.close();
    closed.resolve();
  });
  connected.send([bytes("x")]);
  await closed.promise;
  assert.deepEqual(sockets.log.entries, []);
});

Deno.test("a second IPv6 endpoint of a socket brings no warning of the library", async () => {
  await using sockets = new Sockets();
  const warnings: unknown[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on("warning", note);
  const socket = sockets.open("dealer", { lingerMs: 0 });
  for (const port of [1, 2]) socket.connect(`tcp://[::1]:${port}`);
  await new Promise((resolve) => setImmediate(resolve)); // warnings come a moment later
  process.off("warning", note);
  assert.deepEqual(warnings, []);
});

Deno.test("a bug in serving one socket does not end the service of the others", async () => {
  let failures = 0;
  const fail = () => {
    if (failures++ === 0) throw new Error("planted"); // no log does that; it stands for any bug
  };
  await using sockets = new ZeroMqSockets({ log: { debug() {}, info() {}, warn() {}, error: fail } });
  const open = (type: SocketType) => sockets.open(type, { lingerMs: 0 });
  const [broken, pull, push, other] = [open("pull"), open("pull"), open("push"), open("push")];
  broken.onMessage(() => {
    throw new Error("planted");
  });
  push.connect(await broken.bind(LOOPBACK));
  push.send([bytes("x")]);
  await eventually(() => failures > 1, "the failure is logged");
  other.connect(await pull.bind(LOOPBACK));
  const inbox = new Inbox(pull);
  other.send([bytes("y")]);
  assert.deepEqual(await inbox.texts(), ["y"]);
});

Deno.test("frames of several MiB arrive as they were sent, views into larger buffers included", async () => {
  await using sockets = new Sockets();
  const { bound, connected } = await sockets.pair(["router", "dealer"]);
  echo(bound);
  const answers = new Inbox(connected);
  const whole = pattern(5 * MIB + 11);
  const sizes = [MIB, MIB + 1, 5 * MIB];
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

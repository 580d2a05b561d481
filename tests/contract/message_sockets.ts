import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type {
  Frames,
  MessageSocket,
  MessageSockets,
  SocketOptions,
  SocketType,
} from "../../src/ports/message_sockets.ts";
import { type ContractCase, registerContract } from "./contract_case.ts";

export interface MessageSocketsHarness extends AsyncDisposable {
  readonly sockets: MessageSockets;
  /** Warnings and errors of the log so far. */
  readonly logged: readonly string[];
  /** How long a case waits for something that has to happen, ms. */
  readonly limitMs: number;
  /** An endpoint with a port of its own, at which nobody listens. */
  unusedEndpoint(): string;
  /** Lets time go by, where it does not by itself. */
  elapse(ms: number): void;
}

type Case = ContractCase<MessageSocketsHarness>;

export function messageSocketsContract(name: string, make: () => Promise<MessageSocketsHarness>): void {
  registerContract(MESSAGE_SOCKETS_CASES, name, make);
}

const MIB = 1024 ** 2;
const ANY_PORT = "tcp://127.0.0.1:0";
const NOT_KEPT: SocketOptions = { lingerMs: 0 };

/** Resolves once `holds` does; rejects after the harness's limit. */
async function until(harness: MessageSocketsHarness, what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + harness.limitMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${harness.limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Two connected sockets; the first has bound. */
async function joined(
  { sockets }: MessageSocketsHarness,
  types: readonly [SocketType, SocketType],
  options: SocketOptions = NOT_KEPT,
) {
  const bound = sockets.open(types[0], options);
  const connected = sockets.open(types[1], options);
  const endpoint = await bound.bind(ANY_PORT);
  connected.connect(endpoint);
  return { bound, connected, endpoint };
}

/** A new socket at an address that was given free just now. */
async function boundAgain(harness: MessageSocketsHarness, type: SocketType, endpoint: string): Promise<MessageSocket> {
  const deadline = performance.now() + harness.limitMs;
  for (;; await new Promise((resolve) => setTimeout(resolve, 2))) {
    const socket = harness.sockets.open(type, NOT_KEPT);
    try {
      assert.equal(await socket.bind(endpoint), endpoint);
      return socket;
    } catch (error) {
      socket.close();
      if (performance.now() > deadline) throw error;
    }
  }
}

/** Sends a message to and fro between other sockets: what the others can do at once they have done then. */
async function othersAreServed(harness: MessageSocketsHarness): Promise<void> {
  const { bound, connected } = await joined(harness, ["router", "dealer"]);
  echo(bound);
  let answers = 0;
  connected.onMessage((frames) => {
    if (++answers < 100) connected.send(frames);
  });
  connected.send(message("x"));
  await until(harness, "answers on another socket", () => answers === 100);
  for (const socket of [bound, connected]) socket.close();
}

function message(...frames: readonly string[]): Frames {
  return frames.map((frame) => new TextEncoder().encode(frame));
}

function text(frame: Uint8Array | undefined): string {
  return new TextDecoder().decode(frame);
}

/** The last frame of every message that comes from now on, as text. */
function texts(socket: MessageSocket): string[] {
  const received: string[] = [];
  socket.onMessage((frames) => received.push(text(frames.at(-1))));
  return received;
}

function echo(socket: MessageSocket): void {
  socket.onMessage((frames) => socket.send(frames));
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}`);
}

/** Bytes that differ from their neighbours. */
function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + (i >> 8);
  return bytes;
}

const TYPE_CASES: readonly Case[] = [
  {
    name: "a push sends to its peers in turn",
    async run(make) {
      await using harness = await make();
      const push = harness.sockets.open("push", NOT_KEPT);
      const endpoint = await push.bind(ANY_PORT);
      const received = [0, 1].map(() => {
        const pull = harness.sockets.open("pull", NOT_KEPT);
        pull.connect(endpoint);
        return texts(pull);
      });
      let sent = 0;
      const arrived = () => received.flat().length;
      await until(harness, "both are connected", () => {
        if (arrived() === sent) push.send(message(`${sent++}`));
        return received.every(({ length }) => length > 0);
      });
      await until(harness, "all that was sent", () => arrived() === sent);
      const before = received.map(({ length }) => length);
      for (let i = 0; i < 10; i++) push.send(message(`${sent++}`));
      await until(harness, "ten more", () => arrived() === sent);
      assert.deepEqual(received.map(({ length }, i) => length - (before[i] ?? 0)), [5, 5]);
      assert.deepEqual(received.flat().map(Number).sort((a, b) => a - b), numbers(sent).map(Number));
    },
  },
  {
    name: "a pull receives from all its peers",
    async run(make) {
      await using harness = await make();
      const pull = harness.sockets.open("pull", NOT_KEPT);
      const endpoint = await pull.bind(ANY_PORT);
      const received = texts(pull);
      for (const name of ["a", "b", "c"]) {
        const push = harness.sockets.open("push", NOT_KEPT);
        push.connect(endpoint);
        push.send(message(name));
      }
      await until(harness, "one message of each", () => received.length === 3);
      assert.deepEqual(received.sort(), ["a", "b", "c"]);
    },
  },
  {
    name: "a dealer sends to its peers in turn and receives from all of them",
    async run(make) {
      await using harness = await make();
      const dealer = harness.sockets.open("dealer", NOT_KEPT);
      const answers = texts(dealer);
      for (const name of ["a", "b"]) {
        const router = harness.sockets.open("router", NOT_KEPT);
        dealer.connect(await router.bind(ANY_PORT));
        router.onMessage(([identity = new Uint8Array(0)]) => router.send([identity, ...message(name)]));
      }
      for (let i = 0; i < 10; i++) dealer.send(message("?"));
      await until(harness, "all answers", () => answers.length === 10);
      assert.deepEqual(answers.sort(), [..."aaaaabbbbb"]);
    },
  },
  {
    name: "a router gives the sender's identity as first frame, and sends to the peer that the first frame names",
    async run(make) {
      await using harness = await make();
      const router = harness.sockets.open("router", NOT_KEPT);
      const endpoint = await router.bind(ANY_PORT);
      const asked: Frames[] = [];
      router.onMessage((frames) => asked.push(frames));
      const answers = ["a", "b", "c"].map((name) => {
        const dealer = harness.sockets.open("dealer", NOT_KEPT);
        dealer.connect(endpoint);
        dealer.send(message("", name));
        return texts(dealer);
      });
      await until(harness, "the questions", () => asked.length === 3);
      for (const [identity = new Uint8Array(0), empty, name] of asked) {
        assert.equal(empty?.length, 0);
        router.send([identity, ...message(`for ${text(name)}`)]);
      }
      await until(harness, "the answers", () => answers.flat().length === 3);
      assert.deepEqual(answers, [["for a"], ["for b"], ["for c"]]);
    },
  },
  {
    name: "a router drops messages for peers that are gone, and goes on",
    async run(make) {
      await using harness = await make();
      const { bound: router, connected: leaving, endpoint } = await joined(harness, ["router", "dealer"]);
      const staying = harness.sockets.open("dealer", NOT_KEPT);
      staying.connect(endpoint);
      const answers = texts(staying);
      const identities: Uint8Array[] = [];
      router.onMessage(([identity = new Uint8Array(0), name]) => {
        if (text(name) === "leaving") return identities.push(identity);
        for (const gone of identities) router.send([gone, ...message("x")]);
        router.send([...message("nobody"), ...message("x")]);
        router.send([identity, ...message("answer")]);
      });
      leaving.send(message("leaving"));
      await until(harness, "its identity", () => identities.length === 1);
      leaving.close();
      for (let i = 1; i <= 10; i++) {
        staying.send(message("?"));
        await until(harness, "an answer for the one that stays", () => answers.length === i);
      }
      await until(harness, "nothing waits", () => router.waitingBytes === 0);
      assert.deepEqual(harness.logged, []);
    },
  },
  {
    name: "a pair talks with one peer and ignores others",
    async run(make) {
      await using harness = await make();
      const { bound, connected: first, endpoint } = await joined(harness, ["pair", "pair"]);
      echo(bound);
      const [answers, none] = [texts(first), []];
      first.send(message("1"));
      await until(harness, "an answer", () => answers.length === 1);
      const second = harness.sockets.open("pair", NOT_KEPT);
      second.onMessage(() => none.push());
      second.connect(endpoint);
      second.send(message("ignored"));
      await othersAreServed(harness);
      first.send(message("2"));
      await until(harness, "the next answer", () => answers.length === 2);
      assert.deepEqual([answers, none], [["1", "2"], []]);
    },
  },
];

const OPTION_CASES: readonly Case[] = [
  {
    name: "what was sent before close() arrives within lingerMs, in order and once",
    async run(make) {
      await using harness = await make();
      for (const highWaterMark of [0, 3]) {
        const { bound, connected } = await joined(harness, ["pull", "push"], { lingerMs: 20_000, highWaterMark });
        const received: string[] = [];
        bound.onMessage(([name]) => received.push(text(name)));
        for (const name of numbers(2_000)) connected.send([...message(name), new Uint8Array(2_000)]);
        connected.close();
        await until(harness, "everything", () => received.length >= 2_000);
        await othersAreServed(harness);
        assert.deepEqual(received, numbers(2_000));
      }
    },
  },
  {
    name: "lingerMs 0 keeps nothing after close()",
    async run(make) {
      await using harness = await make();
      const endpoint = harness.unusedEndpoint();
      const push = harness.sockets.open("push", { lingerMs: 0, highWaterMark: 2 });
      push.connect(endpoint);
      for (let i = 0; i < 10; i++) push.send(message("old"));
      push.close();
      assert.equal(push.waitingBytes, 0);
      assert.deepEqual(await firstAt(harness, endpoint), ["new"]);
    },
  },
  {
    name: "what cannot be sent within lingerMs is given up",
    async run(make) {
      await using harness = await make();
      const endpoint = harness.unusedEndpoint();
      const push = harness.sockets.open("push", { lingerMs: 30, highWaterMark: 2 });
      push.connect(endpoint);
      for (let i = 0; i < 10; i++) push.send(message("old"));
      push.close();
      assert.ok(push.waitingBytes > 0, "kept at first");
      harness.elapse(30);
      await until(harness, "given up", () => push.waitingBytes === 0);
      assert.deepEqual(await firstAt(harness, endpoint), ["new"]);
    },
  },
  {
    name: "highWaterMark messages are taken for a peer, by default 1000; 0 = no limit",
    async run(make) {
      await using harness = await make();
      for (const highWaterMark of [1, 7, 1_000, undefined]) {
        const options = highWaterMark === undefined ? NOT_KEPT : { ...NOT_KEPT, highWaterMark };
        const push = harness.sockets.open("push", options);
        push.connect(harness.unusedEndpoint());
        let taken = 0;
        while (push.send(message("x")) === 0) assert.ok(++taken < 2_000);
        assert.equal(taken, highWaterMark ?? 1_000);
      }
      const push = harness.sockets.open("push", { ...NOT_KEPT, highWaterMark: 0 });
      push.connect(harness.unusedEndpoint());
      for (let i = 0; i < 3_000; i++) assert.equal(push.send(message("x")), 0);
    },
  },
  {
    name: "a frame of maxMessageBytes arrives; a peer that sends a longer one is disconnected, others are served on",
    async run(make) {
      await using harness = await make();
      const server = harness.sockets.open("router", { ...NOT_KEPT, maxMessageBytes: 1_000 });
      const endpoint = await server.bind(ANY_PORT);
      const fromBad: { identity: string; length: number }[] = [];
      server.onMessage((frames) => {
        const [identity = new Uint8Array(0), name, body] = frames;
        if (text(name) === "bad") fromBad.push({ identity: identity.toHex(), length: body?.length ?? 0 });
        else server.send(frames);
      });
      const [good, bad] = ["good", "bad"].map(() => harness.sockets.open("dealer", NOT_KEPT));
      assert.ok(good && bad);
      for (const socket of [good, bad]) socket.connect(endpoint);
      const answers = texts(good);
      bad.send([...message("bad"), new Uint8Array(1_000)]);
      await until(harness, "a frame of just that length", () => fromBad.length === 1);
      bad.send([...message("bad"), new Uint8Array(1_001)]);
      for (let i = 1; i <= 20; i++) {
        good.send(message("good", `${i}`));
        await until(harness, "an answer for the other one", () => answers.length === i);
      }
      await until(harness, "it has connected again", () => {
        bad.send([...message("bad"), new Uint8Array(5)]);
        return fromBad.some(({ identity }) => identity !== fromBad[0]?.identity);
      });
      assert.ok(fromBad.every(({ length }) => length <= 1_000));
    },
  },
  {
    name: "a peer that sends a frame longer than maxMessageBytes is disconnected for good if this side connected to it",
    async run(make) {
      await using harness = await make();
      const push = harness.sockets.open("push", NOT_KEPT);
      const endpoint = await push.bind(ANY_PORT);
      const strict = harness.sockets.open("pull", { ...NOT_KEPT, maxMessageBytes: 1_000 });
      strict.connect(endpoint);
      const before = texts(strict);
      push.send(message("before"));
      await until(harness, "the connection", () => before.length === 1);
      push.send([new Uint8Array(1_001)]);
      const other = harness.sockets.open("pull", NOT_KEPT);
      other.connect(endpoint);
      const received = texts(other);
      let sent = 0;
      await until(harness, "the other one gets everything", () => {
        push.send(message(`${sent++}`));
        return Number(received.at(-1)) - Number(received.at(-2)) === 1;
      });
      await until(harness, "all of that", () => received.at(-1) === `${sent - 1}`);
      const count = received.length;
      for (let i = 0; i < 20; i++) push.send(message(`${sent++}`));
      await until(harness, "twenty more", () => received.length === count + 20);
    },
  },
  {
    name: "open() throws RangeError for a senseless option",
    async run(make) {
      await using harness = await make();
      const senseless: readonly SocketOptions[] = [
        { lingerMs: -1 },
        { lingerMs: NaN },
        { lingerMs: 0, highWaterMark: -1 },
        { lingerMs: 0, highWaterMark: 1.5 },
        { lingerMs: 0, maxMessageBytes: -2 },
      ];
      for (const options of senseless) assert.throws(() => harness.sockets.open("dealer", options), RangeError);
    },
  },
];

/** What a socket at that endpoint gets, until the message of a new sender has come. */
async function firstAt(harness: MessageSocketsHarness, endpoint: string): Promise<string[]> {
  const received = texts(await boundAgain(harness, "pull", endpoint));
  const push = harness.sockets.open("push", NOT_KEPT);
  push.connect(endpoint);
  push.send(message("new"));
  await until(harness, "the new sender's message", () => received.includes("new"));
  return received;
}

const ADDRESS_CASES: readonly Case[] = [
  {
    name: "bind() gives the endpoint with the real port, also when port 0 was asked for",
    async run(make) {
      await using harness = await make();
      const open = () => harness.sockets.open("router", NOT_KEPT);
      const endpoints = [await open().bind(ANY_PORT), await open().bind(ANY_PORT)];
      for (const endpoint of endpoints) assert.match(endpoint, /^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/);
      assert.equal(new Set(endpoints).size, 2);
      assert.match(await open().bind("tcp://[::1]:0"), /^tcp:\/\/\[::1\]:[1-9]\d+$/);
      const asked = harness.unusedEndpoint();
      assert.equal(await open().bind(asked), asked);
    },
  },
  {
    name: "bind() rejects with EADDRINUSE if somebody has the address; the socket can bind another one",
    async run(make) {
      await using harness = await make();
      const taken = await harness.sockets.open("router", NOT_KEPT).bind(ANY_PORT);
      const pull = harness.sockets.open("pull", NOT_KEPT);
      await assert.rejects(pull.bind(taken), { code: "EADDRINUSE" });
      const push = harness.sockets.open("push", NOT_KEPT);
      push.connect(await pull.bind(ANY_PORT));
      push.send(message("x"));
      const received = texts(pull);
      await until(harness, "a message", () => received.length === 1);
    },
  },
  {
    name: "bind() rejects and connect() throws with EINVAL if the endpoint is malformed",
    async run(make) {
      await using harness = await make();
      const socket = harness.sockets.open("dealer", NOT_KEPT);
      const malformed = ["", "x", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://:5000", "tcp://127.0.0.1:x"];
      malformed.push("127.0.0.1:5000", "tcp://127.0.0.1:65536", "tcp://::1:5000", "udp://127.0.0.1:5000");
      for (const endpoint of malformed) {
        await assert.rejects(socket.bind(endpoint), { code: "EINVAL" }, endpoint);
        assert.throws(() => socket.connect(endpoint), { code: "EINVAL" }, endpoint);
      }
      assert.throws(() => socket.connect("tcp://127.0.0.1:0"), { code: "EINVAL" });
    },
  },
  {
    name: "a socket may bind and connect several times",
    async run(make) {
      await using harness = await make();
      for (const any of [ANY_PORT, "tcp://[::1]:0"]) {
        const pull = harness.sockets.open("pull", NOT_KEPT);
        const received = texts(pull);
        for (let i = 0; i < 3; i++) {
          const connecting = harness.sockets.open("push", NOT_KEPT);
          connecting.connect(await pull.bind(any));
          connecting.send(message("x"));
          const bound = harness.sockets.open("push", NOT_KEPT);
          pull.connect(await bound.bind(any));
          bound.send(message("x"));
        }
        await until(harness, "a message from each", () => received.length === 6);
      }
    },
  },
  {
    name: "connect() connects later if nobody listens yet, and what was sent meanwhile arrives",
    async run(make) {
      await using harness = await make();
      const endpoint = harness.unusedEndpoint();
      const client = harness.sockets.open("dealer", NOT_KEPT);
      const answers = texts(client);
      client.connect(endpoint);
      for (const number of numbers(5)) client.send(message(number));
      echo(await boundAgain(harness, "router", endpoint));
      await until(harness, "the answers", () => answers.length >= 5);
      assert.deepEqual(answers, numbers(5));
    },
  },
  {
    name: "connect() connects again after every loss",
    async run(make) {
      await using harness = await make();
      const { bound, connected: client, endpoint } = await joined(harness, ["router", "dealer"]);
      const answers = texts(client);
      let server = bound;
      for (const life of ["1", "2", "3"]) {
        echo(server);
        await until(harness, `an answer in life ${life}`, () => {
          client.send(message(life)); // what is under way when a connection breaks may be lost
          return answers.includes(life);
        });
        server.close();
        server = await boundAgain(harness, "router", endpoint);
      }
    },
  },
];

const RECEIVING_CASES: readonly Case[] = [
  {
    name: "onMessage is called once for every message, in order; messages before it is set wait",
    async run(make) {
      await using harness = await make();
      const { bound: pull, connected: push } = await joined(harness, ["pull", "push"]);
      for (const number of numbers(1_500)) push.send(message("", number));
      await othersAreServed(harness);
      const received = texts(pull);
      for (const number of numbers(1_500)) push.send(message("", number));
      await until(harness, "all messages", () => received.length >= 3_000);
      await othersAreServed(harness);
      assert.deepEqual(received, [...numbers(1_500), ...numbers(1_500)]);
    },
  },
  {
    name: "onMessage is never called during a call of a method",
    async run(make) {
      await using harness = await make();
      const { bound, connected } = await joined(harness, ["dealer", "dealer"]);
      let inCall = false;
      const received: boolean[] = [];
      const call = (method: () => unknown) => {
        inCall = true;
        method();
        inCall = false;
      };
      connected.send(message("x"));
      await othersAreServed(harness);
      call(() => bound.onMessage(() => received.push(inCall)));
      await until(harness, "what waited for a handler", () => received.length === 1);
      bound.pause();
      call(() => connected.send(message("x")));
      await othersAreServed(harness);
      call(() => bound.resume());
      await until(harness, "what waited in the pause", () => received.length === 2);
      call(() => connected.send(message("x")));
      call(() => connected.close());
      await until(harness, "what was sent at last", () => received.length === 3 || connected.waitingBytes === 0);
      assert.ok(!received.includes(true));
    },
  },
  {
    name: "a later message handler replaces the one before",
    async run(make) {
      await using harness = await make();
      const { bound: pull, connected: push } = await joined(harness, ["pull", "push"]);
      const first = texts(pull);
      push.send(message("1"));
      await until(harness, "the first message", () => first.length === 1);
      const second = texts(pull);
      push.send(message("2"));
      await until(harness, "the second message", () => second.length === 1);
      assert.deepEqual([first, second], [["1"], ["2"]]);
    },
  },
  {
    name: "what a message handler throws is logged, and the next message is given",
    async run(make) {
      await using harness = await make();
      const { bound: pull, connected: push } = await joined(harness, ["pull", "push"]);
      const received: string[] = [];
      pull.onMessage(([name]) => {
        if (received.push(text(name)) === 1) throw new Error("planted");
      });
      for (const number of numbers(3)) push.send(message(number));
      await until(harness, "the other messages", () => received.length >= 3);
      assert.deepEqual(received, numbers(3));
      assert.equal(harness.logged.length, 1);
    },
  },
  {
    name: "received frames are the reader's own",
    async run(make) {
      await using harness = await make();
      const { bound: pull, connected: push } = await joined(harness, ["pull", "push"]);
      const received: Frames[] = [];
      pull.onMessage((frames) => received.push(frames));
      const sent = [1, 100, 1_000, 100_000].map(pattern);
      for (let round = 0; round < 20; round++) push.send(sent);
      await until(harness, "all messages", () => received.length === 20);
      for (const frame of received.pop() ?? []) frame.fill(0);
      for (const frames of received) {
        for (const [i, frame] of frames.entries()) assert.ok(same(frame, sent[i]), "neither reused nor shared");
      }
      assert.ok(sent.every((frame) => same(frame, pattern(frame.length))), "nor the sender's");
    },
  },
  {
    name: "pause() makes the peer wait, resume() takes everything that waited, in order and once; both are idempotent",
    async run(make) {
      await using harness = await make();
      const { bound: pull, connected: push } = await joined(harness, ["pull", "push"], {
        ...NOT_KEPT,
        highWaterMark: 4,
      });
      const received: string[] = [];
      pull.onMessage(([name]) => received.push(text(name)));
      push.send(message("first"));
      await until(harness, "a message before the pause", () => received.length === 1);
      pull.pause();
      pull.pause();
      const body = new Uint8Array(256 * 1024);
      for (const number of numbers(200)) push.send([...message(number), body]);
      await othersAreServed(harness);
      assert.deepEqual(received, ["first"]);
      assert.ok(push.waitingBytes > 10 * MIB, "50 MiB do not fit into what the library and the system keep");
      pull.resume();
      pull.resume();
      await until(harness, "everything that waited", () => received.length >= 201);
      await until(harness, "nothing waits any more", () => push.waitingBytes === 0);
      assert.deepEqual(received, ["first", ...numbers(200)]);
    },
  },
  {
    name: "no message is given between pause() and resume(), wherever it is called, and none is lost",
    async run(make) {
      await using harness = await make();
      const { bound: pull, connected: push } = await joined(harness, ["pull", "push"]);
      for (const number of numbers(12)) push.send(message(number));
      await othersAreServed(harness);
      const received: string[] = [];
      let paused = false;
      let inPause = 0;
      const pause = () => {
        pull.pause();
        paused = true;
      };
      pull.onMessage(([number]) => {
        if (paused) inPause++;
        received.push(text(number));
        if (received.length % 2 === 0) pause();
        else void Promise.resolve().then(pause); // in what follows the handler
      });
      await until(harness, "all messages", () => {
        if (paused) {
          paused = false;
          pull.resume();
        }
        return received.length >= 12;
      });
      assert.deepEqual([received, inPause], [numbers(12), 0]);
    },
  },
];

function same(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other !== undefined && Buffer.compare(one, other) === 0;
}

const SENDING_CASES: readonly Case[] = [
  {
    name: "frames of any length arrive as they were sent, views into larger buffers included",
    async run(make) {
      await using harness = await make();
      const { bound, connected } = await joined(harness, ["router", "dealer"]);
      echo(bound);
      const received: Frames[] = [];
      connected.onMessage((frames) => received.push(frames));
      const whole = pattern(2 * MIB + 11);
      const lengths = [0, 1, 127, 128, 129, 255, 256, 65_536, MIB, MIB + 1, 2 * MIB];
      const sent = lengths.map((
        length,
      ) => [whole.subarray(11, 11 + length), new Uint8Array(0), whole.slice(0, length)]);
      for (const frames of sent) connected.send(frames);
      await until(harness, "all messages", () => received.length >= sent.length);
      for (const [i, frames] of sent.entries()) {
        assert.equal(received[i]?.length, frames.length);
        for (const [k, frame] of frames.entries()) assert.ok(same(frame, received[i]?.[k]), `${frame.length} bytes`);
      }
    },
  },
  {
    name: "send() never blocks and returns waitingBytes: every message counts, 0 means it was handed to the library",
    async run(make) {
      await using harness = await make();
      const endpoint = harness.unusedEndpoint();
      const push = harness.sockets.open("push", { ...NOT_KEPT, highWaterMark: 2 });
      push.connect(endpoint);
      assert.deepEqual([push.waitingBytes, push.send(message("1")), push.send(message("2"))], [0, 0, 0]);
      let before = 0;
      for (let i = 0; i < 500; i++) {
        const waiting = push.send([new Uint8Array(i % 2 === 0 ? 0 : 1_000)]);
        assert.ok(waiting >= before + (i % 2 === 0 ? 1 : 1_000));
        assert.equal(push.waitingBytes, waiting);
        before = waiting;
      }
      const received = texts(await boundAgain(harness, "pull", endpoint));
      await until(harness, "all messages", () => received.length === 502);
      assert.equal(push.waitingBytes, 0);
    },
  },
  {
    name: "send() of a router keeps what a slow peer should get, in order, and holds up nobody else",
    async run(make) {
      await using harness = await make();
      const server = harness.sockets.open("router", { ...NOT_KEPT, highWaterMark: 5 });
      const endpoint = await server.bind(ANY_PORT);
      const body = pattern(128 * 1024);
      server.onMessage(([identity = new Uint8Array(0)]) => {
        for (const number of numbers(100)) server.send([identity, body, ...message(number)]);
      });
      const [slow, quick] = ["slow", "quick"].map(() => {
        return harness.sockets.open("dealer", { ...NOT_KEPT, highWaterMark: 5 });
      });
      assert.ok(slow && quick);
      slow.pause();
      const [late, answers] = [texts(slow), texts(quick)];
      for (const socket of [slow, quick]) {
        socket.connect(endpoint);
        socket.send(message("all"));
      }
      await until(harness, "everything for the quick one", () => answers.length >= 100);
      await until(harness, "what the slow one should get waits", () => server.waitingBytes > MIB);
      slow.resume();
      await until(harness, "everything for the slow one", () => late.length >= 100);
      await until(harness, "nothing waits", () => server.waitingBytes === 0);
      assert.deepEqual([answers, late], [numbers(100), numbers(100)]);
      assert.deepEqual(harness.logged, []);
    },
  },
  {
    name: "send() throws TypeError if it is a pull socket",
    async run(make) {
      await using harness = await make();
      const pull = harness.sockets.open("pull", NOT_KEPT);
      assert.throws(() => pull.send(message("x")), TypeError);
      assert.equal(pull.waitingBytes, 0);
    },
  },
];

const CLOSING_CASES: readonly Case[] = [
  {
    name: "close() gives the address free, a moment later",
    async run(make) {
      await using harness = await make();
      const { bound, endpoint } = await joined(harness, ["router", "dealer"]);
      bound.close();
      await boundAgain(harness, "router", endpoint);
    },
  },
  {
    name: "after close() messages to be sent are dropped, bind() rejects and connect() throws; it is idempotent",
    async run(make) {
      await using harness = await make();
      const { bound: pull, connected: push, endpoint } = await joined(harness, ["pull", "push"], { lingerMs: 20_000 });
      const received = texts(pull);
      push.send(message("1"));
      push.close();
      push.close();
      assert.equal(push.send(message("2")), 0);
      await assert.rejects(push.bind(ANY_PORT));
      assert.throws(() => push.connect(endpoint));
      const other = harness.sockets.open("push", NOT_KEPT);
      other.connect(endpoint);
      await until(harness, "what was sent before", () => received.includes("1"));
      other.send(message("3"));
      await until(harness, "a message of another one", () => received.includes("3"));
      assert.deepEqual(received, ["1", "3"]);
      for (const call of [() => push.pause(), () => push.resume(), () => push.onMessage(() => {})]) call();
    },
  },
  {
    name: "after close() no message is given, wherever it is called; other sockets are served on",
    async run(make) {
      await using harness = await make();
      for (const within of ["handler", "what follows the handler"]) {
        const { bound: pull, connected: push } = await joined(harness, ["pull", "push"]);
        for (const number of numbers(10)) push.send(message(number));
        await othersAreServed(harness);
        let received = 0;
        let atClose: number | undefined;
        const close = () => {
          pull.close();
          atClose ??= received;
        };
        pull.onMessage(() => {
          received++;
          if (within === "handler") close();
          else void Promise.resolve().then(close);
        });
        await until(harness, "the first message", () => atClose !== undefined);
        await othersAreServed(harness);
        assert.equal(received, atClose, within);
      }
      assert.deepEqual(harness.logged, []);
    },
  },
  {
    name: "a router may answer and close() within the handler of a message",
    async run(make) {
      await using harness = await make();
      const { bound: router, connected } = await joined(harness, ["router", "dealer"], { lingerMs: 20_000 });
      const answers = texts(connected);
      router.onMessage((frames) => {
        router.send(frames);
        router.close();
      });
      connected.send(message("1"));
      await until(harness, "the answer", () => answers.length === 1);
      assert.deepEqual([answers, harness.logged], [["1"], []]);
    },
  },
];

export const MESSAGE_SOCKETS_CASES: readonly Case[] = [
  ...TYPE_CASES,
  ...OPTION_CASES,
  ...ADDRESS_CASES,
  ...RECEIVING_CASES,
  ...SENDING_CASES,
  ...CLOSING_CASES,
];

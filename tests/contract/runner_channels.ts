import assert from "node:assert/strict";
import { RunnerUnavailable } from "../../domain/errors.ts";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { RunnerChannels, RunnerEndpoint } from "../../src/ports/runner_channels.ts";
import { type ContractCase, registerContract } from "./contract_case.ts";

/** The program at the other end of one endpoint, driven by the test. */
export interface RunnerPeer {
  readonly endpoint: RunnerEndpoint;
  /** Every command it has received, in order. */
  readonly commands: readonly RunnerCommand[];
  /** Starts to listen at its endpoint. */
  listen(): Promise<void>;
  /** Stops listening; everybody connected is cut off. */
  stop(): Promise<void>;
  say(message: RunnerMessage): void;
  /** Sends something that is no message of the protocol. */
  sayGarbage(): void;
}

export interface RunnerChannelsHarness extends AsyncDisposable {
  readonly channels: RunnerChannels;
  /** A new runner that does not listen yet. */
  peer(): Promise<RunnerPeer>;
  /** Messages of the log so far. */
  readonly logged: readonly string[];
}

export function runnerChannelsContract(
  name: string,
  make: () => Promise<RunnerChannelsHarness>,
  options?: { ignore?: boolean },
): void {
  registerContract(RUNNER_CHANNELS_CASES, name, make, options);
}

const LIMIT_MS = 5_000;

/** Resolves once `condition` holds; rejects after {@linkcode LIMIT_MS}. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const code = (text: string): RunnerCommand => ({ kind: "code", text });
const html = (text: string): RunnerMessage => ({ kind: "html", text });

export const RUNNER_CHANNELS_CASES: readonly ContractCase<RunnerChannelsHarness>[] = [
  {
    name: "open() returns before the runner listens; commands are delivered in order, once, as soon as it does",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      const channel = harness.channels.open(peer.endpoint, () => {});
      const sent = Array.from({ length: 100 }, (_, i) => code(`print(${i})`));
      for (const command of sent) channel.send(command);
      assert.deepEqual(peer.commands, []);
      await peer.listen();
      await until("the last command", () => peer.commands.length >= sent.length);
      channel.send({ kind: "interrupt" });
      await until("one more", () => peer.commands.some((command) => command.kind === "interrupt"));
      assert.deepEqual(peer.commands, [...sent, { kind: "interrupt" }]);
      channel.close();
    },
  },
  {
    name: "every kind of command arrives as it was sent",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      await peer.listen();
      const channel = harness.channels.open(peer.endpoint, () => {});
      const sent: RunnerCommand[] = [
        code("print('한글 🙂')\n"),
        { kind: "clean", command: "" },
        { kind: "build", command: "*" },
        { kind: "exec", command: "./main" },
        { kind: "input", text: "Lablup" },
        { kind: "interrupt" },
        { kind: "status" },
        { kind: "complete", code: "pri", options: { post: "", row: 0 } },
      ];
      for (const command of sent) channel.send(command);
      await until("all commands", () => peer.commands.length >= sent.length);
      assert.deepEqual(peer.commands, sent);
      channel.close();
    },
  },
  {
    name: "send() throws RunnerUnavailable if 16 MiB of commands wait already",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      const channel = harness.channels.open(peer.endpoint, () => {});
      const mebibyte = code("x".repeat(1024 * 1024));
      let accepted = 0;
      assert.throws(() => {
        for (; accepted < 100; accepted++) channel.send(mebibyte);
      }, RunnerUnavailable);
      assert.ok(accepted >= 15, `only ${accepted} MiB were accepted`);
      channel.close();
    },
  },
  {
    name: "send() throws RunnerUnavailable if the channel is closed, and close() is idempotent",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      const channel = harness.channels.open(peer.endpoint, () => {});
      channel.close();
      channel.close();
      assert.throws(() => channel.send({ kind: "status" }), RunnerUnavailable);
    },
  },
  {
    name: "onMessage is called once for each message, in order",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      const got: RunnerMessage[] = [];
      const channel = harness.channels.open(peer.endpoint, (message) => got.push(message));
      await peer.listen();
      const said: RunnerMessage[] = [
        { kind: "stdout", data: Uint8Array.of(0xed, 0x95) }, // half a character
        { kind: "stderr", data: new Uint8Array(0) },
        { kind: "media", type: "image/svg+xml", data: "<svg/>" },
        html("<b>x</b>"),
        { kind: "log", text: "note" },
        { kind: "waiting-input", options: {} },
        { kind: "waiting-input", options: { is_password: true } },
        { kind: "clean-finished", exitCode: 0 },
        { kind: "build-finished", exitCode: -2 },
        { kind: "finished", exitCode: null },
        { kind: "status", startedAt: 3 },
        { kind: "completion", items: ["print", "property"] },
        ...Array.from({ length: 100 }, (_, i) => html(String(i))),
      ];
      for (const message of said) peer.say(message);
      await until("all messages", () => got.length >= said.length);
      peer.say(html("end"));
      await until("the end", () => got.length > said.length);
      assert.deepEqual(got.map(plain), [...said, html("end")].map(plain));
      channel.close();
    },
  },
  {
    name: "anything that is no message is logged and left out",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      const got: RunnerMessage[] = [];
      const channel = harness.channels.open(peer.endpoint, (message) => got.push(message));
      await peer.listen();
      peer.say(html("before"));
      peer.sayGarbage();
      peer.say(html("after"));
      await until("both messages", () => got.length >= 2);
      assert.deepEqual(got, [html("before"), html("after")]);
      assert.notDeepEqual(harness.logged, []);
      channel.close();
    },
  },
  {
    name: "an error thrown by onMessage is logged and the channel goes on",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      const got: RunnerMessage[] = [];
      const channel = harness.channels.open(peer.endpoint, (message) => {
        if (got.push(message) === 1) throw new Error("planted");
      });
      await peer.listen();
      peer.say(html("1"));
      peer.say(html("2"));
      await until("the second message", () => got.length >= 2);
      assert.notDeepEqual(harness.logged, []);
      channel.close();
    },
  },
  {
    name: "pause() makes this runner wait, not others; resume() takes its messages again; both are idempotent",
    async run(make) {
      await using harness = await make();
      const [paused, other] = [await harness.peer(), await harness.peer()];
      await Promise.all([paused.listen(), other.listen()]);
      const got: RunnerMessage[] = [];
      const fromOther: RunnerMessage[] = [];
      const channel = harness.channels.open(paused.endpoint, (message) => got.push(message));
      const otherChannel = harness.channels.open(other.endpoint, (message) => fromOther.push(message));
      paused.say(html("1"));
      await until("a message before the pause", () => got.length === 1);
      channel.pause();
      channel.pause();
      paused.say(html("2"));
      for (let i = 0; i < 20; i++) other.say(html(String(i)));
      await until("messages of the other runner", () => fromOther.length === 20);
      assert.deepEqual(got, [html("1")]);
      channel.resume();
      channel.resume();
      await until("the message that waited", () => got.length >= 2);
      assert.deepEqual(got, [html("1"), html("2")]);
      channel.close();
      otherChannel.close();
    },
  },
  {
    name: "it reconnects by itself",
    async run(make) {
      await using harness = await make();
      const peer = await harness.peer();
      await peer.listen();
      const got: RunnerMessage[] = [];
      const channel = harness.channels.open(peer.endpoint, (message) => got.push(message));
      channel.send(code("1"));
      await until("the first command", () => peer.commands.length === 1);
      await peer.stop();
      await peer.listen();
      // What is in flight while a connection breaks may be lost, so the command is repeated until one arrives.
      await until("a command after the break", () => {
        if (peer.commands.length > 1) return true;
        channel.send({ kind: "status" });
        return false;
      });
      peer.say(html("again"));
      await until("a message after the break", () => got.length === 1);
      channel.close();
    },
  },
  {
    name: "no message is given after close()",
    async run(make) {
      await using harness = await make();
      const [closed, other] = [await harness.peer(), await harness.peer()];
      await Promise.all([closed.listen(), other.listen()]);
      const got: RunnerMessage[] = [];
      const fromOther: RunnerMessage[] = [];
      const channel = harness.channels.open(closed.endpoint, (message) => got.push(message));
      closed.say(html("1"));
      await until("the first message", () => got.length === 1);
      channel.close();
      closed.say(html("2"));
      const otherChannel = harness.channels.open(other.endpoint, (message) => fromOther.push(message));
      other.say(html("3"));
      await until("a message of another runner", () => fromOther.length === 1);
      assert.deepEqual(got, [html("1")]);
      otherChannel.close();
    },
  },
];

/** Bytes of any array type compare by content. */
function plain(message: RunnerMessage): unknown {
  return message.kind === "stdout" || message.kind === "stderr" ? { ...message, data: [...message.data] } : message;
}

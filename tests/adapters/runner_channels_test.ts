import assert from "node:assert/strict";
import { ZeroMqRunnerChannels } from "../../adapters/runner/channels.ts";
import { decodeCommand, encodeMessage } from "../../adapters/runner/protocol.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { Log } from "../../src/ports/log.ts";
import type { MessageSocket } from "../../src/ports/message_sockets.ts";
import { runnerChannelsContract, type RunnerChannelsHarness } from "../contract/runner_channels.ts";
import { freePorts } from "./runner_peer.ts";

/** A runner's end of real sockets. */
class SocketPeer {
  readonly commands: RunnerCommand[] = [];
  readonly endpoint;
  readonly #sockets: ZeroMqSockets;
  #bound: { commands: MessageSocket; messages: MessageSocket } | undefined;

  constructor(sockets: ZeroMqSockets) {
    const [commandPort, messagePort] = freePorts();
    this.endpoint = { host: "127.0.0.1", commandPort, messagePort };
    this.#sockets = sockets;
  }

  async listen(): Promise<void> {
    const commands = this.#sockets.open("pull", { lingerMs: 0 });
    commands.onMessage((frames) => {
      const command = decodeCommand(frames);
      if (command !== undefined) this.commands.push(command);
    });
    const messages = this.#sockets.open("push", { lingerMs: 0, highWaterMark: 16 });
    await commands.bind(`tcp://127.0.0.1:${this.endpoint.commandPort}`);
    await messages.bind(`tcp://127.0.0.1:${this.endpoint.messagePort}`);
    this.#bound = { commands, messages };
  }

  /** Resolves when the ports can be bound again. */
  async stop(): Promise<void> {
    this.#bound?.commands.close();
    this.#bound?.messages.close();
    this.#bound = undefined;
    for (const port of [this.endpoint.commandPort, this.endpoint.messagePort]) await untilFree(port);
  }

  say(message: RunnerMessage): void {
    this.#bound?.messages.send(encodeMessage(message));
  }

  sayGarbage(): void {
    this.#bound?.messages.send([new TextEncoder().encode("finished")]);
    this.#bound?.messages.send([new TextEncoder().encode("no-such-type"), new Uint8Array(3)]);
  }
}

/** Closing a socket ends its listener a moment later, on a thread of the library. */
async function untilFree(port: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return;
    } catch (err) {
      if (performance.now() > deadline) throw err;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

// deno-lint-ignore require-await
async function realHarness(): Promise<RunnerChannelsHarness> {
  const logged: string[] = [];
  const note = (message: string) => void logged.push(message);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const sockets = new ZeroMqSockets({ log });
  const peerSockets = new ZeroMqSockets({ log: { debug() {}, info() {}, warn() {}, error() {} } });
  return {
    channels: new ZeroMqRunnerChannels({ sockets, log }),
    logged,
    // deno-lint-ignore require-await
    peer: async () => new SocketPeer(peerSockets),
    async [Symbol.asyncDispose]() {
      await sockets[Symbol.asyncDispose]();
      await peerSockets[Symbol.asyncDispose]();
    },
  };
}

runnerChannelsContract("ZeroMqRunnerChannels", realHarness);

Deno.test("ZeroMqRunnerChannels: a paused channel makes its runner wait instead of filling the agent's memory", async () => {
  await using harness = await realHarness();
  const peer = await harness.peer();
  await peer.listen();
  let taken = 0;
  const channel = harness.channels.open(peer.endpoint, () => taken++);
  channel.pause();
  // Far more than the sockets' queues and the network's buffers take.
  for (let i = 0; i < 2000; i++) peer.say({ kind: "stdout", data: new Uint8Array(64 * 1024) });
  channel.send({ kind: "status" });
  const deadline = performance.now() + 5_000;
  while (peer.commands.length === 0 && performance.now() < deadline) await new Promise((r) => setTimeout(r, 5));
  assert.equal(peer.commands.length, 1, "commands go on");
  assert.ok(taken < 200, `${taken} messages were taken although the channel is paused`);
  channel.close();
  await peer.stop();
});

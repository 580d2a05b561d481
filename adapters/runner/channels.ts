import { RunnerUnavailable } from "../../domain/errors.ts";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { Log } from "../../src/ports/log.ts";
import type { Frames, MessageSocket, MessageSockets } from "../../src/ports/message_sockets.ts";
import type { RunnerChannel, RunnerChannels, RunnerEndpoint } from "../../src/ports/runner_channels.ts";
import { decodeMessage, encodeCommand } from "./protocol.ts";

/** Messages per direction that the library holds; with 64 KiB chunks a stuck kernel keeps about 1 MiB there. */
const HIGH_WATER_MARK = 16;
/** 06 §1.2 */
const LINGER_MS = 50;
/** How much may wait for a runner that does not listen. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** A container is not trusted to send frames of any size; output chunks are 64 KiB, rich media a few MiB. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** {@linkcode RunnerChannels} over a PUSH and a PULL socket per kernel, both connecting (06 §1.1). */
export class ZeroMqRunnerChannels implements RunnerChannels {
  readonly #deps: { readonly sockets: MessageSockets; readonly log: Log };

  constructor(deps: { readonly sockets: MessageSockets; readonly log: Log }) {
    this.#deps = deps;
  }

  open(endpoint: RunnerEndpoint, onMessage: (message: RunnerMessage) => void): RunnerChannel {
    return new ZeroMqRunnerChannel(this.#deps, endpoint, onMessage);
  }
}

class ZeroMqRunnerChannel implements RunnerChannel {
  readonly #log: Log;
  readonly #endpoint: RunnerEndpoint;
  readonly #onMessage: (message: RunnerMessage) => void;
  readonly #commands: MessageSocket;
  readonly #messages: MessageSocket;
  #malformed = 0;
  #closed = false;

  constructor(
    deps: { readonly sockets: MessageSockets; readonly log: Log },
    endpoint: RunnerEndpoint,
    onMessage: (message: RunnerMessage) => void,
  ) {
    this.#log = deps.log;
    this.#endpoint = endpoint;
    this.#onMessage = onMessage;
    const options = { lingerMs: LINGER_MS, highWaterMark: HIGH_WATER_MARK };
    this.#commands = deps.sockets.open("push", options);
    this.#messages = deps.sockets.open("pull", { ...options, maxMessageBytes: MAX_FRAME_BYTES });
    this.#messages.onMessage((frames) => this.#receive(frames));
    const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
    this.#commands.connect(`tcp://${host}:${endpoint.commandPort}`);
    this.#messages.connect(`tcp://${host}:${endpoint.messagePort}`);
  }

  send(command: RunnerCommand): void {
    if (this.#closed) throw new RunnerUnavailable("the channel is closed");
    const frames = encodeCommand(command);
    const size = frames.reduce((sum, frame) => sum + frame.length, 0);
    const waiting = this.#commands.waitingBytes;
    if (waiting > 0 && waiting + size > MAX_WAITING_BYTES) {
      throw new RunnerUnavailable(`${waiting} bytes of commands wait already`);
    }
    this.#commands.send(frames);
  }

  pause(): void {
    if (!this.#closed) this.#messages.pause();
  }

  resume(): void {
    if (!this.#closed) this.#messages.resume();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#commands.close();
    this.#messages.close();
  }

  #receive(frames: Frames): void {
    if (this.#closed) return;
    const message = decodeMessage(frames);
    if (message === undefined) return this.#noteMalformed(frames);
    try {
      this.#onMessage(message);
    } catch (err) {
      this.#log.error("handling a runner message failed", { ...this.#endpoint, kind: message.kind, err });
    }
  }

  /** Logs the 1st, 2nd, 4th, 8th, … so that a container cannot fill the agent's log. */
  #noteMalformed(frames: Frames): void {
    this.#malformed++;
    if ((this.#malformed & (this.#malformed - 1)) !== 0) return;
    this.#log.warn("runner message left out", {
      ...this.#endpoint,
      frames: frames.length,
      bytes: frames.map((frame) => frame.length),
      count: this.#malformed,
    });
  }
}

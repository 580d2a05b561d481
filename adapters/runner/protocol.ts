import { decode, encode } from "@msgpack/msgpack";
import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";

/**
 * The frames that agent and runner exchange: always `[type, payload]` (06 §2 to §4). Pure; the one file both sides share.
 * Nothing here throws on what a peer sent: it is made the best of, or left out (06 D-A7, D-R2).
 */
export type WireFrames = readonly Uint8Array[];

const utf8 = new TextEncoder();
const EMPTY = new Uint8Array(0);

/** A command as the agent sends it. */
export function encodeCommand(command: RunnerCommand): WireFrames {
  switch (command.kind) {
    case "code":
    case "input":
      return frames(command.kind, utf8.encode(command.text));
    case "clean":
    case "build":
    case "exec":
      return frames(command.kind, utf8.encode(command.command));
    case "interrupt":
    case "status":
      return frames(command.kind, EMPTY);
    case "complete":
      return frames("complete", json({ ...command.options, code: command.code }));
    default:
      return command satisfies never;
  }
}

/**
 * What the runner makes of two frames; `undefined` for another number of frames or an unknown type. Undecodable bytes
 * are replaced rather than refused, because every task and every `complete` owes its sender an end (06 §10).
 */
export function decodeCommand(received: WireFrames): RunnerCommand | undefined {
  const message = split(received);
  if (message === undefined) return undefined;
  const { type, payload } = message;
  switch (type) {
    case "code":
    case "input":
      return { kind: type, text: lossyText(payload) };
    case "clean":
    case "build":
    case "exec":
      return { kind: type, command: lossyText(payload) };
    case "interrupt":
    case "status":
      return { kind: type };
    case "complete": {
      const { code, ...options } = asRecord(parseJson(payload));
      return { kind: "complete", code: typeof code === "string" ? code : "", options };
    }
    default:
      return undefined;
  }
}

/** A message as the runner sends it. */
export function encodeMessage(message: RunnerMessage): WireFrames {
  switch (message.kind) {
    case "stdout":
    case "stderr":
      return frames(message.kind, message.data);
    case "media":
      return frames("media", json({ type: message.type, data: message.data }));
    case "html":
    case "log":
      return frames(message.kind, utf8.encode(message.text));
    case "clean-finished":
    case "build-finished":
    case "finished":
      return frames(message.kind, json({ exitCode: message.exitCode }));
    case "waiting-input":
      return frames("waiting-input", Object.keys(message.options).length === 0 ? EMPTY : json(message.options));
    case "status":
      // The number is a float64 on the wire even when it is whole (06 §9.10).
      return frames("status", encode({ started_at: message.startedAt }, { forceIntegerToFloat: true }));
    case "completion":
      return frames("completion", json(message.items));
    default:
      return message satisfies never;
  }
}

/** What the agent makes of two frames; `undefined` for another number of frames, an unknown type or a bad `status`. */
export function decodeMessage(received: WireFrames): RunnerMessage | undefined {
  const message = split(received);
  if (message === undefined) return undefined;
  const { type, payload } = message;
  switch (type) {
    case "stdout":
    case "stderr":
      return { kind: type, data: payload };
    case "media":
      return decodeMedia(payload);
    case "html":
    case "log":
      return { kind: type, text: lossyText(payload) };
    case "clean-finished":
    case "build-finished":
    case "finished": {
      const { exitCode } = asRecord(parseJson(payload));
      return { kind: type, exitCode: Number.isSafeInteger(exitCode) ? Number(exitCode) : null };
    }
    case "waiting-input":
      return { kind: "waiting-input", options: asRecord(parseJson(payload)) };
    case "status":
      return decodeStatus(payload);
    case "completion": {
      const items = parseJson(payload);
      return {
        kind: "completion",
        items: Array.isArray(items) ? items.filter((item) => typeof item === "string") : [],
      };
    }
    default:
      return undefined;
  }
}

/** D-R2: the original sends HTML as a `media` that is not JSON; what cannot be read as either is shown as it came. */
function decodeMedia(payload: Uint8Array): RunnerMessage {
  const { type, data } = asRecord(parseJson(payload));
  if (typeof type === "string" && data !== undefined) return { kind: "media", type, data };
  const text = strictText(payload);
  return text?.trimStart().startsWith("<") ? { kind: "html", text } : { kind: "stdout", data: payload };
}

function decodeStatus(payload: Uint8Array): RunnerMessage | undefined {
  try {
    const { started_at: startedAt } = asRecord(decode(payload));
    return typeof startedAt === "number" ? { kind: "status", startedAt } : undefined;
  } catch {
    return undefined; // not MessagePack
  }
}

function frames(type: string, payload: Uint8Array): WireFrames {
  return [utf8.encode(type), payload];
}

function split(received: WireFrames): { type: string; payload: Uint8Array } | undefined {
  const [type, payload] = received;
  if (received.length !== 2 || type === undefined || payload === undefined || type.length > 64) return undefined;
  return { type: lossyText(type), payload };
}

function json(value: unknown): Uint8Array {
  return utf8.encode(JSON.stringify(value));
}

/** `undefined` for anything that is not JSON, an empty payload included. */
function parseJson(payload: Uint8Array): unknown {
  const text = payload.length === 0 ? undefined : strictText(payload);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function lossyText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

function strictText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

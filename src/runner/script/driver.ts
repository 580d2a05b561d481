/**
 * Keeps one Deno for the TypeScript and JavaScript queries of a kernel: the counterpart of `python/driver.py`, with the
 * same frames on descriptors 3 and 4. It evaluates through V8's own inspector in its REPL mode, which gives a top-level
 * scope that lasts, may be declared anew, and may `await`.
 */
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { Socket } from "node:net";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { DriverFrameReader, encodeDriverFrame } from "../driver_frames.ts";
import { MARKER_START } from "../marker_scanner.ts";
import { DRIVER_SETTINGS } from "./driver_settings.ts";
import { Evaluator } from "./evaluator.ts";

const REQUESTS = 3;
const EVENTS = 4;
const MAX_REQUEST_BYTES = 256 * 1024 * 1024;

function start(): void {
  const marker = new Uint8Array(32);
  crypto.getRandomValues(marker);
  marker[0] = MARKER_START;
  for (const name of DRIVER_SETTINGS) Deno.env.delete(name);

  replaceExit();
  const evaluator = new Evaluator({
    typescript: process.argv[2] === "typescript",
    base: pathToFileURL(`${process.cwd()}/`).href,
    writeOutput: (text) => writeAll(1, Buffer.from(text)),
    writeError: (text) => writeAll(2, Buffer.from(text)),
  });
  Deno.addSignalListener("SIGINT", () => evaluator.interrupt());

  const requests = new DriverFrameReader(MAX_REQUEST_BYTES);
  const socket = new Socket({ fd: REQUESTS });
  socket.on("error", () => Deno.exit(0));
  socket.on("close", () => Deno.exit(0)); // the runner is gone
  socket.on("data", (chunk: Uint8Array) => {
    for (const { kind, payload } of requests.push(chunk)) {
      if (kind === "R") void run(new TextDecoder().decode(payload));
    }
  });
  evaluator.warmUp().then(() => emit("Y", marker));

  async function run(code: string): Promise<void> {
    await evaluator.run(code);
    for (const output of [1, 2]) writeAll(output, marker);
    emit("D", new Uint8Array(0));
  }
}

/**
 * Deno panics when it is told to exit from within an evaluation, which is where all queries run. The process is told to
 * end by the C library instead, with what Deno would do for listeners done before.
 */
function replaceExit(): void {
  const libc = Deno.dlopen("libc.so.6", { _exit: { parameters: ["i32"], result: "void" } });
  const exit = (code?: number | string | null): never => {
    const status = Number(code ?? Deno.exitCode);
    try {
      globalThis.dispatchEvent(new Event("unload"));
      process.emit("exit", status);
    } catch {
      // a listener of the user's threw: it ends all the same
    }
    libc.symbols._exit(status);
    throw new Error("unreachable");
  };
  Deno.exit = exit;
  process.exit = exit;
}

function emit(kind: string, payload: Uint8Array): void {
  writeAll(EVENTS, encodeDriverFrame(kind, payload));
}

/** Waits as long as it takes. A descriptor that user code has closed is left alone: the runner copes. */
function writeAll(fd: number, bytes: Uint8Array): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(fd, bytes, at);
    } catch (err) {
      if (!(err instanceof Error) || !("code" in err) || err.code !== "EAGAIN") return;
      Atomics.wait(pause, 0, 0, 1); // somebody made the shared pipe non-blocking, and it is full
    }
  }
}

start();

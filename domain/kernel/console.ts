/** What a run printed, until a client fetches it. Source: 06 §7.3, §7.5.1. */
import { InvalidField } from "../errors.ts";
import type { OutputRecord } from "./runner_message.ts";
import { incompleteTail, utf8Length } from "./utf8.ts";

export type ConsoleItem =
  | readonly ["stdout" | "stderr" | "html" | "log", string]
  | readonly ["media", readonly [string, unknown]];

/** The first form is that of API version 2 and later, the second that of version 1. */
export type ConsoleOutput =
  | { readonly console: readonly ConsoleItem[] }
  | {
    readonly stdout: string;
    readonly stderr: string;
    readonly media: readonly (readonly [string, unknown])[];
    readonly html: readonly string[];
  };

type Stream = "stdout" | "stderr";
type RichRecord = Extract<OutputRecord, { kind: "media" | "html" | "log" }>;

/** Adjacent records of one stream: a range of the store. */
interface TextRange {
  readonly stream: Stream;
  readonly start: number;
  end: number;
}

type Entry = TextRange | { readonly rich: RichRecord };

/**
 * What an entry costs beside its payload. Counted so that one-byte records of alternating kinds cannot fill the memory
 * while {@linkcode ConsoleBuffer.bytes} stays small.
 */
export const ENTRY_BYTES = 64;
/** Rich output nested deeper than this is left out: no reply format could carry it. */
const MAX_NESTING = 64;
/** Stores up to this size are kept for the next output instead of being given back. */
const KEPT_STORE_BYTES = 4096;
const FIRST_STORE_BYTES = 256;

const EMPTY = new Uint8Array(0);
/** Only ever given whole characters, so it keeps no state. A byte order mark is output like any other. */
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Output in the order of its arrival. Adjacent records of stdout (of stderr) become one item. Text stays bytes, in one
 * store for all, until it is taken, so that very many small records cost no more than a few large ones; an incomplete
 * character at the end of an item moves to the next item of its stream. Records have no size limit here (the original
 * cuts at 10 MiB and loses the rest): the caller bounds by {@linkcode ConsoleBuffer.bytes}.
 */
export class ConsoleBuffer {
  #store = EMPTY;
  #used = 0;
  #entries: Entry[] = [];
  /** The last entry while it can still grow. */
  #open: TextRange | undefined;
  #richBytes = 0;
  #droppedBytes = 0;
  /** Incomplete characters, waiting for the next record of their stream; at most 3 bytes each. */
  #carried: Record<Stream, Uint8Array> = { stdout: EMPTY, stderr: EMPTY };

  push(record: OutputRecord): void {
    if (record.kind === "media" || "text" in record) this.#pushRich(record);
    else this.#pushText(record.kind, record.data);
  }

  /** Payload bytes that {@linkcode ConsoleBuffer.take} would give, plus {@linkcode ENTRY_BYTES} for each item. */
  get bytes(): number {
    return this.#used + this.#richBytes + this.#entries.length * ENTRY_BYTES;
  }

  /** Forgets incomplete characters: what follows is another program's output. */
  resetDecoders(): void {
    this.#close();
    this.#carried = { stdout: EMPTY, stderr: EMPTY };
  }

  /** Drops what is buffered. The next {@linkcode ConsoleBuffer.take} begins with a line on stderr that says how much. */
  discard(): void {
    this.#close();
    this.#droppedBytes += this.#used + this.#richBytes;
    this.#clear();
  }

  /** Moves what is buffered into a buffer of its own; incomplete characters stay here. */
  detach(): ConsoleBuffer {
    this.#close();
    const detached = new ConsoleBuffer();
    [detached.#store, detached.#used, detached.#entries] = [this.#store, this.#used, this.#entries];
    [detached.#richBytes, detached.#droppedBytes] = [this.#richBytes, this.#droppedBytes];
    this.#store = EMPTY;
    this.#droppedBytes = 0;
    this.#clear();
    return detached;
  }

  /**
   * Gives what is buffered in the form of the API version, and keeps nothing but incomplete characters.
   * @throws {InvalidField} for a version that is not a whole number from 1; then nothing is taken (06-D-A6).
   */
  take(apiVersion: number): ConsoleOutput {
    checkApiVersion(apiVersion);
    this.#close();
    const items: ConsoleItem[] = [];
    if (this.#droppedBytes > 0) items.push(["stderr", droppedNotice(this.#droppedBytes)]);
    for (const entry of this.#entries) appendItem(items, this.#itemOf(entry));
    this.#droppedBytes = 0;
    this.#clear();
    return apiVersion === 1 ? versionOne(items) : { console: items };
  }

  #pushText(stream: Stream, data: Uint8Array): void {
    if (data.length === 0) return;
    if (this.#open?.stream !== stream) this.#beginText(stream);
    this.#append(data);
  }

  #pushRich(record: RichRecord): void {
    const size = record.kind === "media" ? mediaSize(record.type, record.data) : utf8Length(record.text);
    if (size === undefined) {
      this.#pushText("stderr", UNUSABLE_MEDIA);
      return;
    }
    this.#close();
    this.#entries.push({ rich: record });
    this.#richBytes += size;
  }

  #beginText(stream: Stream): void {
    this.#close();
    this.#open = { stream, start: this.#used, end: this.#used };
    this.#entries.push(this.#open);
    this.#append(this.#carried[stream]);
    this.#carried[stream] = EMPTY;
  }

  #append(data: Uint8Array): void {
    const end = this.#used + data.length;
    if (end > this.#store.length) this.#grow(end);
    this.#store.set(data, this.#used);
    this.#used = end;
    if (this.#open !== undefined) this.#open.end = end;
  }

  #grow(needed: number): void {
    const store = new Uint8Array(Math.max(needed, this.#store.length * 2, FIRST_STORE_BYTES));
    store.set(this.#store.subarray(0, this.#used));
    this.#store = store;
  }

  /** Ends the open item with its last whole character. An item that was nothing but a part of one goes away. */
  #close(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const tail = incompleteTail(this.#store, open.start, open.end);
    if (tail === 0) return;
    this.#carried[open.stream] = this.#store.slice(open.end - tail, open.end);
    open.end -= tail;
    this.#used = open.end;
    if (open.end === open.start) this.#entries.pop();
  }

  #clear(): void {
    if (this.#store.length > KEPT_STORE_BYTES) this.#store = EMPTY;
    this.#used = 0;
    this.#richBytes = 0;
    this.#entries = [];
    this.#open = undefined;
  }

  #itemOf(entry: Entry): ConsoleItem {
    if (!("rich" in entry)) return [entry.stream, DECODER.decode(this.#store.subarray(entry.start, entry.end))];
    const { rich } = entry;
    return rich.kind === "media" ? ["media", [rich.type, rich.data]] : [rich.kind, rich.text];
  }
}

/** @throws {InvalidField} unless the console has a form in that version; all from 2 on have the same one. */
export function checkApiVersion(apiVersion: number): void {
  if (Number.isInteger(apiVersion) && apiVersion >= 1) return;
  throw new InvalidField("api_version", "a whole number from 1", apiVersion);
}

const UNUSABLE_MEDIA = new TextEncoder().encode("[backend.ai] rich output was left out: it is nested too deeply\n");

function droppedNotice(bytes: number): string {
  return `[backend.ai] ${bytes} bytes of output were dropped because nobody fetched them\n`;
}

/** Adds an item, as part of the last one if both are text of one stream: an item between them may have gone away. */
function appendItem(items: ConsoleItem[], item: ConsoleItem): void {
  const last = items.at(-1);
  if (last !== undefined && item[0] === last[0] && (item[0] === "stdout" || item[0] === "stderr")) {
    items[items.length - 1] = [item[0], `${last[1]}${item[1]}`];
  } else {
    items.push(item);
  }
}

function versionOne(items: readonly ConsoleItem[]): ConsoleOutput {
  const output = { stdout: "", stderr: "", media: [] as (readonly [string, unknown])[], html: [] as string[] };
  for (const item of items) {
    if (item[0] === "media") output.media.push(item[1]);
    else if (item[0] === "html") output.html.push(item[1]);
    else if (item[0] !== "log") output[item[0]] += item[1]; // version 1 has no place for logs
  }
  return output;
}

/** Size of rich output, about as JSON has it; undefined if it is nested too deeply. */
function mediaSize(type: string, data: unknown): number | undefined {
  const size = jsonSize(data, MAX_NESTING);
  return size === undefined ? undefined : utf8Length(type) + size;
}

function jsonSize(value: unknown, levels: number): number | undefined {
  if (typeof value === "string") return utf8Length(value);
  if (typeof value !== "object" || value === null) return 8;
  if (levels === 0) return undefined;
  let total = 16;
  for (const [key, child] of Object.entries(value)) {
    const size = jsonSize(child, levels - 1);
    if (size === undefined) return undefined;
    total += size + (Array.isArray(value) ? 8 : utf8Length(key));
  }
  return total;
}

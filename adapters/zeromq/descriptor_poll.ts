/** `poll(2)` in a thread of its own, so that descriptors Deno does not know can be waited for. */

const LIBRARY = {
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  pollNow: { name: "poll", parameters: ["buffer", "u64", "i32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  write: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** `struct pollfd`: int fd, short events, short revents; the same on every Linux. */
const ENTRY_BYTES = 8;
const REVENTS_OFFSET = 6;
const POLLIN = 1;
const NO_TIMEOUT = -1;
/** EFD_CLOEXEC | EFD_NONBLOCK, the same bits as O_CLOEXEC | O_NONBLOCK on x86-64 and arm64. */
const EVENTFD_FLAGS = 0o2004000;

/**
 * A set of descriptors and one thread that waits for any of them to become readable, without a time-out. The thread
 * exists only during {@linkcode wait}. Its wake-up is an eventfd of our own.
 */
export class DescriptorPoll implements Disposable {
  // The C library is loaded already: by name it is found in every image, a bare one included
  readonly #libc = Deno.dlopen("libc.so.6", LIBRARY);
  readonly #wakeDescriptor: number;
  readonly #counter = new BigUint64Array([1n]);
  readonly #descriptors = new Set<number>();
  /** The array that poll(2) reads and writes; made anew after a change, because the thread may still hold the old one. */
  #entries: DataView<ArrayBuffer> | undefined;
  #waiting = false;
  #woken = false;

  constructor() {
    this.#wakeDescriptor = this.#libc.symbols.eventfd(0, EVENTFD_FLAGS);
    if (this.#wakeDescriptor >= 0) return;
    this.#libc.close();
    throw new Error("Cannot make an eventfd: the process has no descriptor left");
  }

  /** Also seen by a {@linkcode wait} that is under way. */
  add(descriptor: number): void {
    this.#descriptors.add(descriptor);
    this.#entries = undefined;
    this.wake();
  }

  /** Before the descriptor is closed. A {@linkcode wait} under way returns. */
  remove(descriptor: number): void {
    this.#descriptors.delete(descriptor);
    this.#entries = undefined;
    this.wake();
  }

  /** Ends a {@linkcode wait} that is under way; without one nothing happens. */
  wake(): void {
    if (!this.#waiting || this.#woken) return;
    this.#woken = true;
    this.#counter[0] = 1n;
    this.#libc.symbols.write(this.#wakeDescriptor, this.#counter, 8n);
  }

  /** Waits until a descriptor is readable or {@linkcode wake} is called; gives those that are readable, maybe none. */
  async wait(): Promise<readonly number[]> {
    const entries = this.#current();
    this.#waiting = true;
    const count = await this.#libc.symbols.poll(entries.buffer, BigInt(entries.byteLength / ENTRY_BYTES), NO_TIMEOUT);
    this.#waiting = false;
    if (this.#woken) {
      this.#woken = false;
      this.#libc.symbols.read(this.#wakeDescriptor, this.#counter, 8n);
    }
    return this.#ready(entries, count);
  }

  /** The descriptors that are readable at this moment. Not during {@linkcode wait}. */
  now(): readonly number[] {
    const entries = this.#current();
    const count = this.#libc.symbols.pollNow(entries.buffer, BigInt(entries.byteLength / ENTRY_BYTES), 0);
    return this.#ready(entries, count);
  }

  #current(): DataView<ArrayBuffer> {
    this.#entries ??= encodeEntries([this.#wakeDescriptor, ...this.#descriptors]);
    return this.#entries;
  }

  /** A `count` below 0 is EINTR: nothing is ready, the caller waits again. */
  #ready(entries: DataView, count: number): readonly number[] {
    const ready: number[] = [];
    for (let at = ENTRY_BYTES; count > 0 && at < entries.byteLength; at += ENTRY_BYTES) {
      const descriptor = entries.getInt32(at, true);
      const signalled = entries.getInt16(at + REVENTS_OFFSET, true) !== 0;
      if (signalled && this.#descriptors.has(descriptor)) ready.push(descriptor);
    }
    return ready;
  }

  /** Not during {@linkcode wait}. */
  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.#wakeDescriptor);
    this.#libc.close();
  }
}

function encodeEntries(descriptors: readonly number[]): DataView<ArrayBuffer> {
  const entries = new DataView(new ArrayBuffer(descriptors.length * ENTRY_BYTES));
  for (const [index, descriptor] of descriptors.entries()) {
    entries.setInt32(index * ENTRY_BYTES, descriptor, true);
    entries.setInt16(index * ENTRY_BYTES + 4, POLLIN, true);
  }
  return entries;
}

/** `poll(2)` in a thread of its own, so that descriptors Deno does not know can be waited for. */

const LIBC = {
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  write: { parameters: ["i32", "buffer", "u64"], result: "i64" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** EFD_CLOEXEC | EFD_NONBLOCK; the same bits on x86-64 and arm64. */
const EVENTFD_FLAGS = 0o2004000;
const POLLIN = 1;
const NO_TIMEOUT = -1;
/** `struct pollfd`: int fd, short events, short revents. */
const ENTRY_BYTES = 8;
const EVENTS_OFFSET = 4;
const RETURNED_OFFSET = 6;

/** Waits for any of a set of descriptors to become readable, without a time-out; an eventfd of its own ends the wait. */
export class DescriptorPoll implements Disposable {
  // By name: the C library is loaded already, also in a container without one of its own
  readonly #libc = Deno.dlopen("libc.so.6", LIBC);
  readonly #event = this.#libc.symbols.eventfd(0, EVENTFD_FLAGS);
  readonly #counter = new Uint8Array(8);
  #table = new Uint8Array(ENTRY_BYTES);
  #view = new DataView(this.#table.buffer);

  constructor() {
    if (this.#event < 0) throw new Error("Cannot make an eventfd");
  }

  /** The watched descriptors that are readable, once one is or {@linkcode wake} was called. One call at a time. */
  async wait(watched: Iterable<number>): Promise<readonly number[]> {
    const descriptors = [...watched];
    this.#fill(descriptors);
    await this.#libc.symbols.poll(this.#table, BigInt(descriptors.length + 1), NO_TIMEOUT);
    if (this.#returned(0)) this.#libc.symbols.read(this.#event, this.#counter, 8n);
    return descriptors.filter((_, index) => this.#returned(index + 1));
  }

  /** Ends the wait in progress, or else the next one at once. */
  wake(): void {
    new DataView(this.#counter.buffer).setBigUint64(0, 1n, true);
    this.#libc.symbols.write(this.#event, this.#counter, 8n);
  }

  /** Not during a wait. */
  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.#event);
    this.#libc.close();
  }

  #fill(descriptors: readonly number[]): void {
    const bytes = (descriptors.length + 1) * ENTRY_BYTES;
    if (this.#table.length < bytes) {
      this.#table = new Uint8Array(bytes * 2);
      this.#view = new DataView(this.#table.buffer);
    }
    this.#entry(0, this.#event);
    for (const [index, descriptor] of descriptors.entries()) this.#entry(index + 1, descriptor);
  }

  #entry(index: number, descriptor: number): void {
    const offset = index * ENTRY_BYTES;
    this.#view.setInt32(offset, descriptor, true);
    this.#view.setInt16(offset + EVENTS_OFFSET, POLLIN, true);
    this.#view.setInt16(offset + RETURNED_OFFSET, 0, true);
  }

  #returned(index: number): boolean {
    return this.#view.getInt16(index * ENTRY_BYTES + RETURNED_OFFSET, true) !== 0;
  }
}

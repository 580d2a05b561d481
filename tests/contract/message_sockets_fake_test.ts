import assert from "node:assert/strict";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { FakeMessageSockets } from "../../adapters/fake/message_sockets.ts";
import type { Frames, MessageSocket, SocketOptions, SocketType } from "../../src/ports/message_sockets.ts";
import { failingCases } from "./contract_case.ts";
import { MESSAGE_SOCKETS_CASES, messageSocketsContract, type MessageSocketsHarness } from "./message_sockets.ts";

// deno-lint-ignore require-await
async function harnessOf(Sockets: typeof FakeMessageSockets): Promise<MessageSocketsHarness> {
  const log = new MemoryLog();
  const sockets = new Sockets({ log });
  return {
    sockets,
    get logged() {
      return [...log.messages("warn"), ...log.messages("error")];
    },
    limitMs: 100, // nothing here takes time
    unusedEndpoint: () => sockets.unusedEndpoint(),
    elapse: (ms) => sockets.elapse(ms),
    async [Symbol.asyncDispose]() {},
  };
}

messageSocketsContract("FakeMessageSockets", () => harnessOf(FakeMessageSockets));

/** Passes everything on; a mutation replaces one method. */
class Wrapped implements MessageSocket {
  readonly inner: MessageSocket;
  constructor(inner: MessageSocket) {
    this.inner = inner;
  }
  bind(endpoint: string): Promise<string> {
    return this.inner.bind(endpoint);
  }
  connect(endpoint: string): void {
    this.inner.connect(endpoint);
  }
  onMessage(handler: (frames: Frames) => void): void {
    this.inner.onMessage(handler);
  }
  send(frames: Frames): number {
    return this.inner.send(frames);
  }
  get waitingBytes(): number {
    return this.inner.waitingBytes;
  }
  pause(): void {
    this.inner.pause();
  }
  resume(): void {
    this.inner.resume();
  }
  close(): void {
    this.inner.close();
  }
}

/** A mutation whose sockets are wrapped. */
function wrappedBy(Wrapper: typeof Wrapped): typeof FakeMessageSockets {
  return class extends FakeMessageSockets {
    override open(type: SocketType, options: SocketOptions): MessageSocket {
      return new Wrapper(super.open(type, options));
    }
  };
}

/** A mutation that changes the options. */
function openedWith(change: (options: SocketOptions) => SocketOptions): typeof FakeMessageSockets {
  return class extends FakeMessageSockets {
    override open(type: SocketType, options: SocketOptions): MessageSocket {
      return super.open(type, change(options));
    }
  };
}

const MUTATIONS: Readonly<Record<string, typeof FakeMessageSockets>> = {
  "ignores pause()": wrappedBy(
    class extends Wrapped {
      override pause(): void {}
    },
  ),
  "hands over a message late": wrappedBy(
    class extends Wrapped {
      override onMessage(handler: (frames: Frames) => void): void {
        super.onMessage((frames) => void Promise.resolve(frames).then(handler).catch(() => {}));
      }
    },
  ),
  "keeps the first handler": wrappedBy(
    class extends Wrapped {
      #set = false;
      override onMessage(handler: (frames: Frames) => void): void {
        if (!this.#set) super.onMessage(handler);
        this.#set = true;
      }
    },
  ),
  "knows no high-water mark": openedWith((options) => ({ ...options, highWaterMark: 0 })),
  "never gives up": openedWith(({ lingerMs, ...options }) => ({ ...options, lingerMs: lingerMs * 2 })),
};

for (const [mutation, Sockets] of Object.entries(MUTATIONS)) {
  Deno.test(`messageSocketsContract() finds the planted fault: ${mutation}`, async () => {
    assert.notDeepEqual(await failingCases(MESSAGE_SOCKETS_CASES, () => harnessOf(Sockets)), []);
  });
}

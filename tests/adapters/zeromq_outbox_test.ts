/** The queues in front of the library, against a library that takes and refuses as told. */
import assert from "node:assert/strict";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { RouterOutbox, type Sender, SharedOutbox } from "../../adapters/zeromq/outbox.ts";
import type { Frames } from "../../src/ports/message_sockets.ts";

/** Refuses what is for a peer in `refusing`, with the error code there. */
class ScriptedSender implements Sender {
  readonly writable = true;
  readonly refusing = new Map<string, string>();
  readonly sent: string[] = [];

  // deno-lint-ignore require-await
  async send(frames: Frames): Promise<void> {
    const [peer = "", name = ""] = frames.map((frame) => new TextDecoder().decode(frame));
    const code = this.refusing.get(peer);
    if (code !== undefined) throw Object.assign(new Error("refused"), { code });
    this.sent.push(`${peer}${name}`);
  }
}

function message(peer: string, name: string): Frames {
  return [peer, name].map((text) => new TextEncoder().encode(text));
}

/** Lets everything happen that waits for nothing else. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function openRouter(limits?: ConstructorParameters<typeof RouterOutbox>[3]) {
  const sender = new ScriptedSender();
  const log = new MemoryLog();
  return { sender, log, outbox: new RouterOutbox(sender, log, () => {}, limits) };
}

Deno.test("RouterOutbox keeps what a full peer should get, in order, and holds up nobody else", async () => {
  const { sender, log, outbox } = openRouter();
  sender.refusing.set("a", "EAGAIN");
  for (const name of ["1", "2"]) for (const peer of ["a", "b"]) outbox.send(message(peer, name));
  await settled();
  assert.deepEqual([sender.sent, outbox.idle], [["b1", "b2"], false]);
  const waiting = outbox.waitingBytes;
  outbox.flush();
  await settled();
  assert.equal(outbox.waitingBytes, waiting);
  sender.refusing.clear();
  outbox.send(message("a", "3"));
  await settled();
  outbox.flush();
  await settled();
  assert.deepEqual(sender.sent, ["b1", "b2", "a1", "a2", "a3"]);
  assert.deepEqual([outbox.idle, outbox.waitingBytes, log.entries], [true, 0, []]);
});

Deno.test("RouterOutbox forgets what a peer that has left should get", async () => {
  const { sender, log, outbox } = openRouter();
  sender.refusing.set("a", "EAGAIN");
  for (const name of ["1", "2"]) outbox.send(message("a", name));
  await settled();
  sender.refusing.set("a", "EHOSTUNREACH");
  outbox.flush();
  await settled();
  assert.deepEqual([outbox.idle, outbox.waitingBytes, sender.sent], [true, 0, []]);
  assert.deepEqual([log.messages("warn"), log.messages("error")], [[], []]);
});

Deno.test("RouterOutbox drops what is beyond a limit, and says so ever more rarely", async () => {
  const size = 64 + 2; // of one message here
  const plenty = { peerBytes: 1_000, totalBytes: 1_000, peers: 10 };
  const tables = [
    [{ ...plenty, peerBytes: 2 * size }, ["a1", "a2", "b1", "b2", "c1", "c2"]],
    [{ ...plenty, totalBytes: 4 * size }, ["a1", "b1", "c1", "a2"]],
    [{ ...plenty, peers: 2 }, ["a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"]],
  ] as const;
  for (const [limits, kept] of tables) {
    const { sender, log, outbox } = openRouter(limits);
    for (const peer of ["a", "b", "c"]) sender.refusing.set(peer, "EAGAIN");
    for (const name of ["1", "2", "3", "4"]) for (const peer of ["a", "b", "c"]) outbox.send(message(peer, name));
    await settled();
    assert.equal(outbox.waitingBytes, kept.length * size);
    sender.refusing.clear();
    outbox.flush();
    await settled();
    assert.deepEqual(sender.sent.toSorted(), [...kept].sort());
    const dropped = 12 - kept.length;
    assert.deepEqual(log.entries.map(({ fields }) => fields.dropped), [1, 2, 4, 8].filter((count) => count <= dropped));
  }
});

Deno.test("RouterOutbox.clear() forgets for good what is being handed over", async () => {
  const { sender, log, outbox } = openRouter();
  sender.refusing.set("a", "EAGAIN");
  for (const name of ["1", "2"]) outbox.send(message("a", name));
  await settled();
  sender.refusing.clear();
  outbox.flush(); // the first is on its way
  outbox.clear();
  await settled();
  assert.deepEqual([sender.sent, outbox.idle, outbox.waitingBytes, log.entries], [["a1"], true, 0, []]);
});

Deno.test("RouterOutbox.clear() forgets for good what is being refused", async () => {
  const { sender, log, outbox } = openRouter();
  sender.refusing.set("a", "EAGAIN");
  outbox.send(message("a", "1"));
  outbox.clear();
  await settled();
  assert.deepEqual([sender.sent, outbox.idle, outbox.waitingBytes, log.entries], [[], true, 0, []]);
});

Deno.test("SharedOutbox takes a refusal for a peer that has just left, anything else for a fault", async () => {
  const sender = new ScriptedSender();
  const log = new MemoryLog();
  const outbox = new SharedOutbox(sender, log);
  sender.refusing.set("a", "EAGAIN").set("b", "EINVAL");
  for (const peer of ["a", "b", "c"]) outbox.send(message(peer, "1"));
  await settled();
  assert.deepEqual([sender.sent, outbox.idle], [["c1"], true]);
  assert.deepEqual(log.entries.map(({ level }) => level), ["debug", "error"]);
});

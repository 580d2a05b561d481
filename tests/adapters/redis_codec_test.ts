import assert from "node:assert/strict";
import { decode } from "@msgpack/msgpack";
import { uncompress } from "snappyjs";
import {
  encodeArgs,
  encodeEnvelope,
  encodeEvent,
  encodeHeartbeat,
  encodeImages,
  encodeLegacyEvent,
  unreadableTags,
} from "../../adapters/redis/event_codec.ts";
import { parseImageId, parseKernelId } from "../../domain/ids.ts";
import { EVERY_EVENT, heartbeatOf } from "../contract/event_sink.ts";

const id = parseImageId(`sha256:${"ab".repeat(32)}`);

function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

Deno.test("[02 §3] encodeEvent() gives each event its name and number of arguments", () => {
  for (const [event, name, args] of EVERY_EVENT) assert.deepEqual(encodeEvent(event), { name, args });
});

Deno.test("[02 §2] encodeLegacyEvent() leaves out the reason of instance_started only", () => {
  for (const [event, name, args] of EVERY_EVENT) {
    const expected = name === "instance_started" ? [] : args;
    assert.deepEqual(encodeLegacyEvent(event), { name, args: expected });
  }
});

Deno.test("[02 §4.2] encodeEnvelope() of the worked examples, byte for byte", () => {
  const started = encodeEvent({ kind: "instance_started", reason: "self-started" });
  assert.equal(
    hex(encodeEnvelope("i-worker1", started)),
    "83aa6576656e745f6e616d65b0696e7374616e63655f73746172746564" +
      "a86167656e745f6964a9692d776f726b657231a46172677391ac73656c662d73746172746564",
  );
  const terminated = { name: "kernel_terminated", args: [EXAMPLE_KERNEL, "user-requested", "137"] };
  assert.equal(
    hex(encodeEnvelope("i-worker1", terminated)),
    "83aa6576656e745f6e616d65b16b65726e656c5f7465726d696e61746564a86167656e745f6964a9692d776f726b657231a461726773" +
      "93d92435663366326137632d386634652d346432612d396134342d316630623663316532643361ae757365722d726571756573746564a3313337",
  );
});

/** The kernel of the worked examples. */
const EXAMPLE_KERNEL = "5f3f2a7c-8f4e-4d2a-9a44-1f0b6c1e2d3a";

Deno.test("[02 §4.2] encodeArgs() of the legacy example, byte for byte", () => {
  const event = encodeLegacyEvent({
    kind: "kernel_terminated",
    kernelId: parseKernelId(EXAMPLE_KERNEL),
    reason: "self-terminated",
    exitCode: null,
  });
  assert.equal(
    hex(encodeArgs(event.args)),
    "93d92435663366326137632d386634652d346432612d396134342d316630623663316532643361af73656c662d7465726d696e61746564c0",
  );
});

Deno.test("[02 §4.2] encodeImages() of the worked example, byte for byte", () => {
  assert.equal(
    hex(encodeImages([{ tag: "lablup/lua:5.3-alpine3.8", id }])),
    "64989192b86c61626c75702f6c75613a352e332d616c70696e65332e38d9477368613235363a616261f20200",
  );
});

Deno.test("[02 §4.1] encodeImages() of no image", () => {
  assert.equal(hex(encodeImages([])), "010090");
});

Deno.test("[02-D13] encodeImages() leaves out what unreadableTags() names", () => {
  const images = ["lablup/lua:5.3-alpine3.8", "local/thing:my_tag-1", "x:latest"].map((tag) => ({ tag, id }));
  assert.deepEqual(decode(uncompress(encodeImages(images))), [["lablup/lua:5.3-alpine3.8", id], ["x:latest", id]]);
  assert.deepEqual(unreadableTags(images), ["local/thing:my_tag-1"]);
});

Deno.test("encodeImages() of a long list reads back whole", () => {
  const images = Array.from({ length: 3000 }, (_, index) => ({ tag: `lablup/image${index}:1.${index}-alpine3.8`, id }));
  assert.deepEqual(decode(uncompress(encodeImages(images))), images.map((image) => [image.tag, image.id]));
});

Deno.test("[02 §4] encodeHeartbeat() has every key, amounts as text, images as bytes", () => {
  const { name, args: [info] } = encodeHeartbeat(heartbeatOf("19.09.5"));
  assert.equal(name, "instance_heartbeat");
  assert.deepEqual(info, {
    ip: "10.0.0.1",
    region: "local",
    scaling_group: "default",
    addr: "tcp://10.0.0.1:6001",
    resource_slots: { cpu: ["count", "7"], mem: ["bytes", "17179869184"] },
    version: "19.09.5",
    compute_plugins: { cpu: { version: "1" } },
    images: encodeImages([{ tag: "lablup/lua:5.3-alpine3.8", id }]),
  });
});

Deno.test("[02 §4] encodeHeartbeat() puts an IPv6 address in brackets", () => {
  const { args: [info] } = encodeHeartbeat({ ...heartbeatOf("1"), host: "fd00::1" });
  const { ip, addr } = info as { ip: string; addr: string }; // encoded above
  assert.deepEqual([ip, addr], ["fd00::1", "tcp://[fd00::1]:6001"]);
});

Deno.test("[02 §1] encodeEnvelope() tells text and bytes apart", () => {
  const { args: [text, bytes] } = decode(encodeEnvelope("a", { name: "n", args: ["t", new Uint8Array([1])] })) as {
    args: unknown[]; // encoded above
  };
  assert.deepEqual([text, bytes], ["t", new Uint8Array([1])]);
});

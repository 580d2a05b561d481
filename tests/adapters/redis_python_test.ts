/** The manager's way of reading, in Python: what it unpacks must be what the agent meant. */
import assert from "node:assert/strict";
import { encodeEnvelope, encodeEvent, encodeHeartbeat } from "../../adapters/redis/event_codec.ts";
import { EVERY_EVENT, heartbeatOf } from "../contract/event_sink.ts";
import { pythonWith } from "./python_peer.ts";

const python = await pythonWith("msgpack", ["msgpack==1.1.0", "python-snappy==0.7.3", "pyzmq==26.2.0"]);

/** Unpacks like `ai.backend.common.msgpack` 19.09.5, and the image list like its registry. Prints JSON. */
const READ = `
import json, sys, msgpack, snappy
unpack = lambda raw: msgpack.unpackb(raw, raw=False, use_list=False)
message = unpack(sys.stdin.buffer.read())
if message["event_name"] == "instance_heartbeat":
    info = message["args"][0]
    assert type(info["images"]) is bytes, type(info["images"])
    info["images"] = unpack(snappy.decompress(info["images"]))
print(json.dumps(message))
`;

async function readByPython(payload: Uint8Array): Promise<unknown> {
  assert.ok(python);
  const child = new Deno.Command(python, { args: ["-c", READ], stdin: "piped", stdout: "piped", stderr: "piped" })
    .spawn();
  const writer = child.stdin.getWriter();
  await writer.write(payload);
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({
  name: "[02 §4] the manager's decoder reads the heartbeat and its image list",
  ignore: python === undefined,
  async fn() {
    const info = heartbeatOf("19.09.5");
    const [image] = info.images;
    assert.ok(image);
    const images = Array.from({ length: 200 }, (_, i) => ({ ...image, tag: `lablup/python:3.${i}-ubuntu18.04` }));
    const payload = encodeEnvelope("i-worker1", encodeHeartbeat({ ...info, images }));
    assert.deepEqual(await readByPython(payload), {
      event_name: "instance_heartbeat",
      agent_id: "i-worker1",
      args: [{
        ip: "10.0.0.1",
        region: "local",
        scaling_group: "default",
        addr: "tcp://10.0.0.1:6001",
        resource_slots: { cpu: ["count", "7"], mem: ["bytes", "17179869184"] },
        version: "19.09.5",
        compute_plugins: { cpu: { version: "1" } },
        images: images.map(({ tag, id }) => [tag, id]),
      }],
    });
  },
});

Deno.test({
  name: "[02 §1] the manager's decoder reads an event",
  ignore: python === undefined,
  async fn() {
    const [event, name, args] = EVERY_EVENT[6] ?? assert.fail();
    const message = await readByPython(encodeEnvelope("i-worker1", encodeEvent(event)));
    assert.deepEqual(message, { event_name: name, agent_id: "i-worker1", args });
  },
});

/** The RPC line against real Python: aiozmq as managers use it, and pyzmq frame by frame. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { RpcClient, RpcError } from "../../adapters/rpc/client.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { ChildServer } from "./child_server.ts";
import { pythonWith } from "./python_peer.ts";

const python = await pythonWith("aiozmq", ["aiozmq==1.0.0", "msgpack==1.1.0", "pyzmq==26.2.0"]);
const SCRIPT = new URL("../fixtures/peers/rpc_peer.py", import.meta.url).pathname;
const ignore = python === undefined;
const KERNEL = "5f3f2a7c-8f4e-4d2a-9a44-1f0b6c1e2d3a";

async function results(what: string): Promise<Record<string, unknown>> {
  await using server = await ChildServer.rpc();
  const { stdout } = await new Deno.Command(python ?? "", { args: [SCRIPT, what, server.endpoint] }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test({ name: "[01] a manager's aiozmq client understands every answer", ignore }, async () => {
  const report = { status: "finished", exitCode: 0, options: null, console: [["stdout", "1\n"]], files: [] };
  const { create, ...others } = await results("aiozmq");
  assert.deepEqual(others, {
    ping: { value: "héllo" },
    destroy: { value: null },
    execute: { value: { runId: "run-1", ...report } },
    execute_null: { value: { runId: "made-up", ...report } },
    logs: { value: { logs: "a log\n" } },
    logs_by_name: { value: { logs: "a log\n" } },
    clean: { value: null },
    unknown_method: { error: "aiozmq.rpc.base.NotFoundError", args: ["no_such_method"] },
    dotted_method: { error: "aiozmq.rpc.base.NotFoundError", args: ["a.b"] },
    missing_argument: {
      error: "aiozmq.rpc.base.ParametersError",
      args: [`TypeError("missing a required argument: 'kernel_id'")`],
    },
    too_many: { error: "aiozmq.rpc.base.ParametersError", args: ["TypeError('too many positional arguments')"] },
    bad_id: { error: "builtins.ValueError", args: ["badly formed hexadecimal UUID string"] },
    unknown_kernel: {
      error: "builtins.KeyError",
      args: ['Cannot find kernel "00000000-0000-0000-0000-000000000001": it is not running on this agent'],
    },
    later: {
      error: "builtins.NotImplementedError",
      args: ['Cannot serve "upload_file": this version of the agent does not support it'],
    },
    pings: true,
  });
  assert.partialDeepStrictEqual(create, {
    value: {
      id: KERNEL,
      kernel_host: "10.0.0.5",
      repl_in_port: 30000,
      repl_out_port: 30001,
      stdin_port: 0,
      stdout_port: 0,
      service_ports: [{ name: "sshd", protocol: "tcp", container_ports: [2200], host_ports: [30002] }],
      resource_spec: { slots: { cpu: "2", mem: "1073741824" } },
    },
  });
});

Deno.test(
  { name: "[01-2, 01-D8] frames of pyzmq are answered once each, and no pickle is ever loaded", ignore },
  async () => {
    const refusal = (id: number, text: string) => {
      return [id, true, ["aiozmq.rpc.base.ParametersError", [text], `ParametersError('${text}')`]];
    };
    const pickled = [123, 124, 125, 126, 127].map((type, i) => {
      const text = `extension type ${type} is a pickled Python object, which is refused`;
      return [`ext${type}`, refusal(100 + i, text)];
    });
    const { ext5, ...others } = await results("frames");
    assert.deepEqual(others, {
      ping: [1, false, "hello"],
      ...Object.fromEntries(pickled),
      last_id: [0xffff_ffff, false, "last id"],
      large: [0, false, 3_000_000],
      more: false,
      sprung: false,
    });
    assert.match(JSON.stringify(ext5), /expected str, got ExtType/);
  },
);

Deno.test({ name: "our client calls a server of aiozmq", ignore }, async () => {
  await using server = await ChildServer.start(python ?? "", [SCRIPT, "serve", "tcp://127.0.0.1:*"]);
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  using client = new RpcClient({ sockets, endpoint: server.endpoint });
  assert.equal(await client.call("ping", ["héllo"]), "héllo");
  const args = [1, -1.5, null, true, "x", [1], { a: {} }];
  assert.deepEqual(await client.call("echo", args, { kwargs: { name: [] } }), { args, kwargs: { name: [] } });
  assert.deepEqual(await client.call("echo", [2n ** 63n]), { args: [2n ** 63n], kwargs: {} });
  assert.deepEqual(await client.call("ping", [Uint8Array.of(1, 2)]), Buffer.of(1, 2));
  await assert.rejects(client.call("fail", ["no"]), (error) => {
    assert.ok(error instanceof RpcError);
    assert.deepEqual([error.type, error.args], ["builtins.RuntimeError", ["no", 5]]);
    return true;
  });
  await assert.rejects(client.call("nothing"), { type: "aiozmq.rpc.base.NotFoundError" });
  const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => client.call("ping", [`${i}`])));
  assert.deepEqual(answers, Array.from({ length: 500 }, (_, i) => `${i}`));
});

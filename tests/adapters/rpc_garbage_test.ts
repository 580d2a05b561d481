import assert from "node:assert/strict";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { RpcClient } from "../../adapters/rpc/client.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { ChildServer } from "./child_server.ts";
import { garbageMessages, throwGarbage } from "./garbage_messages.ts";

const MIB = 1024 ** 2;
const WARM_UP = 2;
const ROUNDS = 4;
/** tests/bench/rpc_garbage_bench.ts has the narrow one. */
const GROWTH_LIMIT_MIB = 40;

Deno.test("[01-D2, 01-D8] 10,000 broken messages a round: one error each, others are served, memory stays", async () => {
  await using server = await ChildServer.rpc();
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  using client = new RpcClient({ sockets, endpoint: server.endpoint });
  const memory = async () => Number(await client.call("memory")) / MIB;
  const sizes: number[] = [];
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    const socket = sockets.open("dealer", { lingerMs: 0 });
    socket.connect(server.endpoint);
    let over = false;
    const throwing = throwGarbage(socket, garbageMessages(10_000, round)).finally(() => over = true);
    let pings = 0;
    while (!over) assert.equal(await client.call("ping", [`${pings++}`], { timeoutMs: 20_000 }), `${pings - 1}`);
    assert.deepEqual(await throwing, []);
    assert.ok(pings > 5, "the other client was served meanwhile");
    socket.close();
    sizes.push(await memory());
  }
  console.log(`resident after each round, MiB: ${sizes.map((size) => size.toFixed(1)).join(" ")}`);
  const settled = sizes.slice(WARM_UP - 1);
  assert.ok(Math.max(...settled) - (settled[0] ?? 0) < GROWTH_LIMIT_MIB, `${settled}`);
  assert.deepEqual(await client.call("errors"), []);
});

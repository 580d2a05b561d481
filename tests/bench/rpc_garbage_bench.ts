/**
 * Ten rounds of 10,000 broken messages against the RPC server, each process with its own clients: memory of the server
 * after every round, and what another client's pings take meanwhile. `deno run -A tests/bench/rpc_garbage_bench.ts`
 */
import { MemoryLog } from "../../adapters/fake/log.ts";
import { RpcClient } from "../../adapters/rpc/client.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { ChildServer } from "../adapters/child_server.ts";
import { garbageMessages, throwGarbage } from "../adapters/garbage_messages.ts";
import { percentile } from "./percentile.ts";

const MIB = 1024 ** 2;
const ROUNDS = 10;
/** Until the heap has its size. */
const WARM_UP = 5;
const MESSAGES = 10_000;
const PING_EVERY_MS = 1;

const [endpoint, seed] = Deno.args;
if (endpoint === undefined) await measure();
else await throwRound(endpoint, Number(seed));

/** The other process: one round. */
async function throwRound(endpoint: string, seed: number): Promise<void> {
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  const socket = sockets.open("dealer", { lingerMs: 0 });
  socket.connect(endpoint);
  const faults = await throwGarbage(socket, garbageMessages(MESSAGES, seed));
  if (faults.length > 0) throw new Error(faults.slice(0, 5).join("\n"));
}

async function measure(): Promise<void> {
  await using server = await ChildServer.rpc();
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  using client = new RpcClient({ sockets, endpoint: server.endpoint });
  await pingDuring(client, new Promise((resolve) => setTimeout(resolve, 500))); // compiled before it is measured
  const sizes: number[] = [];
  const samples: number[] = [];
  console.log("round   resident MiB   pings   p50 ms   p99 ms   max ms");
  for (let round = 1; round <= WARM_UP + ROUNDS; round++) {
    const args = [
      "run",
      "--quiet",
      "--no-check",
      "--allow-all",
      import.meta.filename ?? "",
      server.endpoint,
      `${round}`,
    ];
    const thrower = new Deno.Command(Deno.execPath(), { args, stdout: "inherit" }).spawn();
    const times = await pingDuring(client, thrower.status);
    if (!(await thrower.status).success) throw new Error("the server answered wrongly");
    const size = Number(await client.call("memory")) / MIB;
    const figures = [size, times.length, percentile(times, 0.5), percentile(times, 0.99), Math.max(...times)];
    const name = round <= WARM_UP ? "warm-up" : `${round - WARM_UP}`.padEnd(7);
    console.log(`${name} ${figures.map((figure) => figure.toFixed(2).padStart(9)).join("")}`);
    if (round >= WARM_UP) sizes.push(size);
    if (round > WARM_UP) samples.push(...times);
  }
  const [first = 0, ...rest] = sizes;
  const growth = (rest.at(-1) ?? 0) - first;
  console.log(`memory over ${ROUNDS} rounds: ${growth.toFixed(1)} MiB (target: within 5)`);
  console.log(`ping p99 meanwhile: ${percentile(samples, 0.99).toFixed(2)} ms (target: below 10)`);
}

/** Milliseconds of each ping. */
async function pingDuring(client: RpcClient, end: Promise<unknown>): Promise<readonly number[]> {
  let over = false;
  void end.finally(() => over = true);
  const times: number[] = [];
  while (!over) {
    const start = performance.now();
    await client.call("ping", ["hello"]);
    times.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, PING_EVERY_MS));
  }
  return times;
}

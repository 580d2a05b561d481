/**
 * `ping` over the RPC line, by clients in processes of their own that are fast enough not to be what is measured.
 * `deno run -A tests/bench/rpc_bench.ts [ENDPOINT]`; without an endpoint a server with a fake agent is started.
 */
import { MemoryLog } from "../../adapters/fake/log.ts";
import { RpcClient } from "../../adapters/rpc/client.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { ChildServer } from "../adapters/child_server.ts";
import { percentile } from "./percentile.ts";

const WARM_UP_MS = 1_500;
const MEASURE_MS = 5_000;

/** What one process with clients tells. */
interface Result {
  readonly pings: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const [first, endpoint, clients] = Deno.args;
if (first === "client" && endpoint !== undefined) console.log(JSON.stringify(await ping(endpoint, Number(clients))));
else await measure(first);

async function measure(given: string | undefined): Promise<void> {
  await using server = given === undefined ? await ChildServer.rpc() : undefined;
  const endpoint = given ?? server?.endpoint ?? "";
  console.log("clients            p50 ms   p99 ms   pings/s");
  for (const [processes, clients] of [[1, 1], [1, 16], [2, 8]] as const) {
    const results = await Promise.all(Array.from({ length: processes }, () => inProcess(endpoint, clients)));
    const p50 = Math.max(...results.map(({ p50Ms }) => p50Ms));
    const p99 = Math.max(...results.map(({ p99Ms }) => p99Ms));
    const rate = results.reduce((sum, { pings }) => sum + pings, 0) / MEASURE_MS * 1_000;
    const name = `${processes * clients} in ${processes} process${processes > 1 ? "es" : ""}`;
    console.log(
      `${name.padEnd(17)} ${p50.toFixed(3).padStart(7)}  ${p99.toFixed(3).padStart(7)}  ${rate.toFixed(0).padStart(8)}`,
    );
  }
}

async function inProcess(endpoint: string, clients: number): Promise<Result> {
  const args = ["run", "--quiet", "--no-check", "--allow-all", import.meta.filename ?? ""];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: [...args, "client", endpoint, `${clients}`] })
    .output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Every client asks again as soon as it has its answer. */
async function ping(endpoint: string, count: number): Promise<Result> {
  await using sockets = new ZeroMqSockets({ log: new MemoryLog() });
  const measureFrom = performance.now() + WARM_UP_MS;
  const end = measureFrom + MEASURE_MS;
  const times: number[] = [];
  await Promise.all(Array.from({ length: count }, async () => {
    using client = new RpcClient({ sockets, endpoint });
    for (let start = performance.now(); start < end;) {
      await client.call("ping", ["hello"]);
      const now = performance.now();
      if (start >= measureFrom) times.push(now - start);
      start = now;
    }
  }));
  return { pings: times.length, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
}

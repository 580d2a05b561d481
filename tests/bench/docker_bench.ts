/**
 * What the Docker adapter costs, against the same requests written by hand on a bare connection to the same engine:
 * `deno run -A tests/bench/docker_bench.ts [ROUNDS]`. Both take turns, so that a busy machine hits both alike.
 */
import { DockerRuntime } from "../../adapters/docker/container_runtime.ts";
import { encodeCreate } from "../../adapters/docker/container_payload.ts";
import { networkName } from "../../adapters/docker/agent_network.ts";
import { EngineClient } from "../../adapters/docker/engine_client.ts";
import { type AgentId, parseKernelId } from "../../domain/ids.ts";
import type { ContainerSpec } from "../../src/ports/container_runtime.ts";
import { ENGINE, openEngine, SILENT, whyNoEngine } from "../adapters/docker_engine.ts";

const rounds = Number(Deno.args[0] ?? 20);
const signal = new AbortController().signal;

/** One HTTP/1.1 connection, kept open, which sends bytes and waits for the end of the reply: as little as can be. */
class BareConnection implements Disposable {
  readonly #buffer = new Uint8Array(1024 * 1024);
  private constructor(private readonly connection: Deno.Conn, private readonly version: string) {}

  static async open(version: string): Promise<BareConnection> {
    return new BareConnection(
      ENGINE.transport === "unix"
        ? await Deno.connect({ transport: "unix", path: ENGINE.path })
        : await Deno.connect({ hostname: ENGINE.hostname, port: ENGINE.port }),
      version,
    );
  }

  async request(method: string, path: string, json?: unknown): Promise<string> {
    const body = json === undefined ? "" : JSON.stringify(json);
    const type = json === undefined ? "" : "Content-Type: application/json\r\n";
    const length = new TextEncoder().encode(body).length;
    const head =
      `${method} /v${this.version}${path} HTTP/1.1\r\nHost: engine\r\n${type}Content-Length: ${length}\r\n\r\n`;
    const bytes = new TextEncoder().encode(head + body);
    for (let sent = 0; sent < bytes.length;) sent += await this.connection.write(bytes.subarray(sent));
    for (let at = 0;;) {
      const read = await this.connection.read(this.#buffer.subarray(at));
      if (read === null) throw new Error("the engine hung up");
      at += read;
      const text = new TextDecoder().decode(this.#buffer.subarray(0, at));
      if (isComplete(text)) return text;
    }
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

function isComplete(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /^content-length: (\d+)/im.exec(text)?.[1];
  if (length !== undefined) return new TextEncoder().encode(text.slice(end + 4)).length >= Number(length);
  return /^HTTP\/1\.1 (204|304)/.test(text) || text.endsWith("\r\n0\r\n\r\n");
}

class Series {
  readonly #ms: number[] = [];

  async time<T>(work: () => Promise<T>): Promise<T> {
    const begin = performance.now();
    const result = await work();
    this.#ms.push(performance.now() - begin);
    return result;
  }

  at(quantile: number): number {
    const sorted = this.#ms.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN;
  }
}

function report(what: string, ours: Series, bare: Series): void {
  const row = (series: Series) => `${series.at(0.5).toFixed(2).padStart(8)} ${series.at(0.99).toFixed(2).padStart(8)}`;
  const extra = (ours.at(0.5) - bare.at(0.5)).toFixed(2).padStart(7);
  console.log(`${what.padEnd(26)} ${row(ours)}   ${row(bare)}  ${extra}`);
}

const rssMiB = (): number => Deno.memoryUsage().rss / 1024 / 1024;

const beforeMiB = rssMiB(); // nothing has used HTTP yet
const missing = await whyNoEngine();
if (missing !== undefined) {
  console.log(`skipped: ${missing}`);
  Deno.exit(0);
}

{
  using client = new EngineClient(ENGINE);
  const afterFirst = await client.version(signal).then(rssMiB);
  console.log(`memory: the client and its first call +${(afterFirst - beforeMiB).toFixed(1)} MiB resident`);
}

await using open = await openEngine(ENGINE.transport);
const { engine, client, agentId } = open;
using bare = await BareConnection.open(await client.version(signal));
const runtime = new DockerRuntime({ client, agentId, log: SILENT });
const imageId = await engine.importBusybox();
await runtime.ensureNetwork(signal);

function specOf(agent: AgentId): ContainerSpec {
  const kernelId = parseKernelId(crypto.randomUUID());
  return {
    kernelId,
    name: `kernel.bench.${kernelId}`,
    imageId,
    command: ["/bin/sleep", "600"],
    workdir: "/home/work",
    uid: 1000,
    gid: 1000,
    environ: new Map([["AGENT", agent]]),
    labels: new Map([["ai.backend.kernel-id", kernelId]]),
    mounts: [],
    ports: [],
    cores: [0],
    cpuQuota: 1,
    memoryBytes: 64n * 1024n * 1024n,
    shmemBytes: 0n,
    pidsLimit: 64,
  };
}

console.log(`\n${"ms".padEnd(26)} ours p50      p99   bare p50      p99    +p50`);

const quick = { ours: new Series(), bare: new Series() };
for (let round = 0; round < rounds * 50; round++) {
  await quick.ours.time(() => client.call({ attempt: "ping", method: "GET", path: "/_ping" }, signal));
  await quick.bare.time(() => bare.request("GET", "/_ping"));
}
report("GET /_ping", quick.ours, quick.bare);

const list = { ours: new Series(), bare: new Series() };
const filters = encodeURIComponent(JSON.stringify({ label: [`ai.backend.internal.agent-id=${agentId}`] }));
for (let round = 0; round < rounds * 10; round++) {
  await list.ours.time(() => runtime.list(signal));
  await list.bare.time(() => bare.request("GET", `/containers/json?all=true&filters=${filters}`));
}
report("list()", list.ours, list.bare);

type Pair = { readonly ours: Series; readonly bare: Series };
const pair = (): Pair => ({ ours: new Series(), bare: new Series() });
const [create, start, both, inspect, kill, remove] = [pair(), pair(), pair(), pair(), pair(), pair()];
async function oneOfOurs(): Promise<void> {
  const id = await both.ours.time(async () => {
    const id = await create.ours.time(() => runtime.create(specOf(agentId), signal));
    await start.ours.time(() => runtime.start(id, signal));
    return id;
  });
  await inspect.ours.time(() => runtime.inspect(id, signal));
  await kill.ours.time(() => runtime.kill(id, signal));
  await remove.ours.time(() => runtime.remove(id, signal));
}
async function oneBare(): Promise<void> {
  const spec = specOf(agentId);
  const payload = encodeCreate(spec, agentId, networkName(agentId));
  const id = await both.bare.time(async () => {
    const reply = await create.bare.time(() => bare.request("POST", `/containers/create?name=${spec.name}`, payload));
    const id = /"Id":"([0-9a-f]{64})"/.exec(reply)?.[1];
    await start.bare.time(() => bare.request("POST", `/containers/${id}/start`));
    return id;
  });
  await inspect.bare.time(() => bare.request("GET", `/containers/${id}/json`));
  await kill.bare.time(() => bare.request("POST", `/containers/${id}/kill?signal=SIGKILL`));
  await remove.bare.time(() => bare.request("DELETE", `/containers/${id}?force=true&v=true`));
}
await oneOfOurs(); // the first of each kind pays for caches of the engine
await oneBare();
for (const series of [create, start, both, inspect, kill, remove]) Object.assign(series, pair());
for (let round = 0; round < rounds; round++) {
  for (const one of round % 2 === 0 ? [oneOfOurs, oneBare] : [oneBare, oneOfOurs]) await one();
}
report("create()", create.ours, create.bare);
report("start()", start.ours, start.bare);
report("create() + start()", both.ours, both.bare);
report("inspect()", inspect.ours, inspect.bare);
report("kill()", kill.ours, kill.bare);
report("remove()", remove.ours, remove.bare);
console.log(`\nmemory at the end: ${rssMiB().toFixed(1)} MiB resident, ${beforeMiB.toFixed(1)} at the start`);

/**
 * `deno run -A tests/bench/runner_bench.ts`: what the in-container runner costs. Container figures need a Docker Engine
 * and, for Python, the image `lablup/python:3.6-ubuntu18.04`; the rest runs on this host.
 */
import { docker, hasEngine, RunnerContainer, TestImage } from "../adapters/runner_container.ts";
import { builtRunner, HostRunner, type RunnerPeer } from "../adapters/runner_peer.ts";

const PYTHON_IMAGE = "lablup/python:3.6-ubuntu18.04";
const ROUNDS = 500;

const folder = await builtRunner();
await benchHost("python", "print(1)", "import os\nb = b'x' * (1 << 20)\nfor _ in range(100): os.write(1, b)");
await benchHost("typescript", "console.log(1)", "console.log('x'.repeat(100 << 20))");
if (await hasEngine()) await benchContainers();
else report("containers", "no Docker Engine answers");

async function benchHost(runtime: string, small: string, big: string): Promise<void> {
  await using runner = await HostRunner.start(folder, [runtime]);
  const { peer } = runner;
  await peer.query(small);
  report(`${runtime}: ${small}`, percentiles(await timings(peer, small)));
  const seconds = await elapsed(() => peer.query(big)) / 1000;
  report(`${runtime}: 100 MiB of output`, `${Math.round(100 / seconds)} MiB/s`);
  if (runtime !== "python") return;
  const lines = await elapsed(() => peer.query("for i in range(100_000): print(i)"));
  report(`${runtime}: 100,000 prints`, `${Math.round(lines)} ms`);
  peer.send({ kind: "code", text: "while True: pass" });
  const statuses: number[] = [];
  for (let i = 0; i < 100; i++) {
    statuses.push(
      await elapsed(async () => {
        peer.send({ kind: "status" });
        await peer.until((message) => message.kind === "status");
      }),
    );
  }
  report(`${runtime}: status while a query runs`, percentiles(statuses));
  peer.send({ kind: "interrupt" });
  await peer.end();
  const ready = await elapsed(async () => {
    await peer.query("import os; os._exit(0)");
    await peer.query("1");
  });
  report(`${runtime}: interpreter ends, is replaced, and answers`, `${Math.round(ready)} ms`);
}

async function benchContainers(): Promise<void> {
  await using bare = await TestImage.make({});
  await benchContainer("typescript", bare.name, "console.log(1)");
  const hasPython = await docker("image", "inspect", PYTHON_IMAGE).then(() => true, () => false);
  if (hasPython) await benchContainer("python", PYTHON_IMAGE, "print(1)");
}

async function benchContainer(runtime: string, image: string, code: string): Promise<void> {
  const starts: number[] = [];
  const firsts: number[] = [];
  for (let i = 0; i < 6; i++) {
    await using kernel = await RunnerContainer.start({ image, runnerFolder: folder, runtime: [runtime] });
    kernel.peer.send({ kind: "status" }, { kind: "code", text: code });
    await kernel.peer.until((message) => message.kind === "status");
    const startedAt = Date.parse(await docker("inspect", "--format", "{{.State.StartedAt}}", kernel.id));
    starts.push(performance.timeOrigin + performance.now() - startedAt);
    await kernel.peer.end();
    firsts.push(performance.now() - kernel.startedAtMs);
    if (i === 5) await reportContainer(kernel, runtime, code);
  }
  report(`${runtime} container: its start to the first message, and a look at it`, percentiles(starts.slice(1)));
  report(`${runtime} container: start call to the end of the first query`, percentiles(firsts.slice(1)));
}

async function reportContainer(kernel: RunnerContainer, runtime: string, code: string): Promise<void> {
  report(`${runtime} container: ${code}`, percentiles(await timings(kernel.peer, code)));
  const processes = (await docker("top", kernel.id, "-o", "pid,rss,args")).split("\n").slice(1).map((line) => {
    const [, rss, ...args] = line.trim().split(/\s+/);
    return `${Math.round(Number(rss) / 1024)} MiB ${args.find((arg) => /deno|python/.test(arg)) ?? args[0]}`;
  });
  report(`${runtime} container: resident, idle`, processes.join(", "));
  report(
    `${runtime} container: charged to it`,
    await docker("stats", "--no-stream", "--format", "{{.MemUsage}}", kernel.id),
  );
}

async function timings(peer: RunnerPeer, code: string): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < ROUNDS; i++) values.push(await elapsed(() => peer.query(code)));
  return values;
}

async function elapsed(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}

function percentiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN).toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

function report(what: string, figure: string): void {
  console.log(`${what.padEnd(72)} ${figure}`);
}

/** What only a real engine shows: the effect of the payload, the network's walls, and what is left behind. */
import assert from "node:assert/strict";
import { AgentNetwork } from "../../adapters/docker/agent_network.ts";
import { DockerRuntime } from "../../adapters/docker/container_runtime.ts";
import { DockerImages } from "../../adapters/docker/image_store.ts";
import { RuntimeFailed } from "../../domain/errors.ts";
import { type ContainerId, type ImageId, parseContainerId, parseKernelId } from "../../domain/ids.ts";
import type { ContainerRuntime, ContainerSpec } from "../../src/ports/container_runtime.ts";
import { freePort, openEngine, SILENT, type TestEngine, whyNoEngine } from "./docker_engine.ts";

const missing = await whyNoEngine();
if (missing !== undefined) console.log(`skipped: kernels on a real engine: ${missing}`);
const signal = new AbortController().signal;
const LIMIT_MS = 30_000;

interface Setup extends AsyncDisposable {
  readonly engine: TestEngine;
  readonly runtime: ContainerRuntime;
  readonly images: DockerImages;
  readonly network: () => AgentNetwork;
  readonly agentId: string;
  readonly imageId: ImageId;
}

function test(name: string, run: (setup: Setup) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing !== undefined,
    async fn() {
      await using open = await openEngine("unix");
      const { engine, client, agentId } = open;
      await run({
        engine,
        agentId,
        runtime: new DockerRuntime({ client, agentId, log: SILENT }),
        images: new DockerImages({ client, agentId, log: SILENT }),
        network: () => new AgentNetwork(client, agentId),
        imageId: await engine.importBusybox(),
        [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
      });
    },
  });
}

function specOf(imageId: ImageId, script: string, overrides: Partial<ContainerSpec> = {}): ContainerSpec {
  const kernelId = parseKernelId(crypto.randomUUID());
  return {
    kernelId,
    name: `kernel.test.${kernelId}`,
    imageId,
    command: ["/bin/sh", "-c", script],
    workdir: "/home/work",
    uid: 1000,
    gid: 1001,
    environ: new Map([["GREETING", "안녕=\nhello"]]),
    labels: new Map([["ai.backend.kernel-id", kernelId]]),
    mounts: [],
    ports: [],
    cores: [0],
    cpuQuota: 0.5,
    memoryBytes: 64n * 1024n * 1024n,
    shmemBytes: 8n * 1024n * 1024n,
    pidsLimit: 32,
    ...overrides,
  };
}

/** What the script prints until it says `END`. */
async function outputOf(runtime: ContainerRuntime, spec: ContainerSpec): Promise<string> {
  const id = await runtime.create(spec, signal);
  await runtime.start(id, signal);
  return await untilPrinted(runtime, id, "END");
}

async function untilPrinted(runtime: ContainerRuntime, id: ContainerId, word: string): Promise<string> {
  const deadline = Date.now() + LIMIT_MS;
  while (true) {
    const text = (await runtime.logs(id, 100_000, signal)).replaceAll("\r\n", "\n");
    if (text.includes(word)) return text;
    if (Date.now() > deadline) throw new Error(`"${word}" was not printed: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a kernel has the user, place, environment, limits and rights of its spec", async ({ runtime, imageId }) => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.chmod(folder, 0o777); // only the mount itself can be what forbids writing
    await Deno.writeTextFile(`${folder}/file`, "from the host\n");
    const script = [
      "busybox id -u; busybox id -g; busybox pwd",
      'busybox printf "%s\\n" "$GREETING"',
      "busybox grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status",
      "busybox cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null",
      "busybox cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null",
      "busybox df -m /dev/shm | busybox tail -n 1 | busybox awk '{print \"shm\", $2}'",
      "busybox cat /data/file; busybox touch /data/new 2>/dev/null || echo readonly",
      "test -t 0 && test -t 1 && echo terminal; busybox cat /proc/1/comm",
      "echo END",
    ].join("\n").replaceAll("busybox ", "/bin/busybox ");
    const mounts = [{ source: folder, target: "/data", readOnly: true }];
    const output = await outputOf(runtime, specOf(imageId, script, { mounts }));
    const lines = output.split("\n").map((line) => line.replaceAll(/\s+/g, " "));
    assert.deepEqual(lines.slice(0, 5), ["1000", "1001", "/home/work", "안녕=", "hello"]);
    for (const line of ["CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"]) {
      assert(lines.includes(line), `${line} in ${output}`);
    }
    for (const line of ["67108864", "32", "shm 8", "from the host", "readonly", "terminal", "docker-init"]) {
      assert(lines.includes(line), `${line} in ${output}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

test("a kernel of uid 0 keeps the rights that root in a container usually has", async ({ runtime, imageId }) => {
  const script = "/bin/busybox grep CapEff /proc/self/status; echo END";
  assert.doesNotMatch(await outputOf(runtime, specOf(imageId, script, { uid: 0, gid: 0 })), /0000000000000000/);
});

test("kernels cannot reach each other, and the host reaches their published ports", async ({ runtime, imageId, engine }) => {
  const hostPort = freePort();
  const ports = [{ containerPort: 2000, hostAddress: "127.0.0.1", hostPort }];
  const serve = "echo ready; while :; do echo served | /bin/busybox nc -l -p 2000; done";
  const server = await runtime.create(specOf(imageId, serve, { ports }), signal);
  await runtime.start(server, signal);
  await untilPrinted(runtime, server, "ready");
  const address = /"IPAddress":"(\d+\.\d+\.\d+\.\d+)"/.exec(await engine.call("GET", `/containers/${server}/json`))
    ?.[1];
  assert(address !== undefined);

  const probe = `/bin/busybox nc -w 1 ${address} 2000 </dev/null && echo reached || echo blocked; echo END`;
  assert.match(await outputOf(runtime, specOf(imageId, probe)), /blocked/);

  using connection = await Deno.connect({ hostname: "127.0.0.1", port: hostPort });
  const answer = new Uint8Array(10);
  assert.equal(new TextDecoder().decode(answer.subarray(0, await connection.read(answer) ?? 0)), "served\n");
});

test("AgentNetwork.ensure() of several agents of one id at once leaves one network", async (setup) => {
  const { engine, network, agentId, runtime, imageId } = setup;
  await Promise.all([1, 2, 3, 4, 5, 6].map(() => network().ensure(signal)));
  await network().ensure(signal);
  assert.equal((await engine.ids("/networks", `ai.backend.internal.agent-id=${agentId}`)).length, 1);
  assert.match(await outputOf(runtime, specOf(imageId, "echo END")), /END/);
});

test("AgentNetwork.ensure() refuses a network of its name that it did not make", async ({ engine, network, runtime }) => {
  const name = network().name;
  const body = JSON.stringify({ Name: name, Labels: { "ai.backend.test": engine.run } });
  await engine.call("POST", "/networks/create", body, { "content-type": "application/json" });
  try {
    await assert.rejects(runtime.ensureNetwork(signal), RuntimeFailed);
  } finally {
    await engine.call("DELETE", `/networks/${name}`);
  }
});

test("[04-D45] remove() takes the anonymous volumes of the image along", async ({ engine, runtime }) => {
  const volumes = async () => (await engine.call("GET", "/volumes")).match(/"Name":"[0-9a-f]{64}"/g)?.length ?? 0;
  const before = await volumes();
  const imageId = await engine.importImage({ files: new Map([["/data/a", "a"]]), volumes: ["/data"] });
  const id = await runtime.create(specOf(imageId, ""), signal);
  assert.equal(await volumes(), before + 1);
  await runtime.remove(id, signal);
  assert.equal(await volumes(), before);
});

test("logs() reads the console of a container without a terminal", async ({ engine, runtime, imageId, agentId }) => {
  const body = JSON.stringify({
    Image: imageId,
    Cmd: ["/bin/sh", "-c", "echo out; echo END"],
    Labels: { "ai.backend.internal.agent-id": agentId, "ai.backend.kernel-id": crypto.randomUUID() },
  });
  const created = await engine.call("POST", "/containers/create", body, { "content-type": "application/json" });
  const id = parseContainerId(/[0-9a-f]{64}/.exec(created)?.[0]);
  await runtime.start(id, signal);
  assert.equal(await untilPrinted(runtime, id, "END"), "out\nEND\n");
});

test("readFile() removes the readers that a killed agent left behind, and only those", async (setup) => {
  const { engine, images, imageId, agentId } = setup;
  const leave = async (labels: Record<string, string>) => {
    const body = JSON.stringify({ Image: imageId, Cmd: ["-"], Labels: { ...labels, "ai.backend.test": engine.run } });
    await engine.call("POST", "/containers/create", body, { "content-type": "application/json" });
  };
  await leave({ "ai.backend.internal.image-reader": agentId });
  await leave({ "ai.backend.internal.image-reader": engine.agentId("other") });
  await images.readFile(imageId, "/etc/passwd", signal);
  assert.equal((await engine.ids("/containers/json", engine.label)).length, 1);
});

import assert from "node:assert/strict";
import { Cgroups, parseV1, parseV2 } from "../../adapters/host/cgroup.ts";
import { cloudIdentity, detectCloud, type FetchText, onPremiseIdentity } from "../../adapters/host/cloud_identity.ts";
import { SystemHost } from "../../adapters/host/host_facts.ts";
import { parseCpuTimes, parseMemory, parseNetwork, physicalMounts } from "../../adapters/host/proc_files.ts";
import { ScratchSizes } from "../../adapters/host/scratch_size.ts";
import { CgroupMeter } from "../../adapters/host/usage_meter.ts";
import type { KernelUsage } from "../../domain/stats/metrics.ts";
import { hostFactsContract } from "../contract/host_facts.ts";
import { CONTAINER, usageMeterContract, type UsageMeterHarness } from "../contract/usage_meter.ts";

const FIXTURES = new URL("../fixtures", import.meta.url).pathname;
const signal = new AbortController().signal;

/** A folder that goes away with the scope. */
async function tempDir(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "host-test-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function writeFile(path: string, text: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, text);
}

/** Answers no request before it is given up. */
const silence: FetchText = (_url, _headers, limit) => {
  return new Promise((_, reject) => limit.addEventListener("abort", () => reject(limit.reason), { once: true }));
};

hostFactsContract("SystemHost", async () => {
  const root = await tempDir();
  await writeFile(`${root.path}/sys/devices/virtual/dmi/id/board_vendor`, "Amazon EC2\n");
  return {
    host: new SystemHost({ region: "local", fileRoot: "/no/such/place" }),
    inSilentCloud: new SystemHost({ fileRoot: root.path, fetchText: silence }),
    occupy() {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      listeners.push(listener);
      return { port: listener.addr.port, [Symbol.dispose]: () => listener.close() };
    },
    async [Symbol.asyncDispose]() {
      for (const listener of listeners.splice(0)) closeQuietly(listener);
      await root[Symbol.asyncDispose]();
    },
  };
});
const listeners: Deno.TcpListener[] = [];

function closeQuietly(listener: Deno.TcpListener): void {
  try {
    listener.close();
  } catch {
    // closed by the case
  }
}

const CLOUD_FILES: [files: Record<string, string>, cloud: string | undefined][] = [
  [{}, undefined],
  [{ "/sys/devices/virtual/dmi/id/board_vendor": "Dell Inc.\n" }, undefined],
  [{ "/sys/devices/virtual/dmi/id/board_vendor": "Amazon EC2\n" }, "amazon"],
  [{ "/sys/devices/virtual/dmi/id/bios_version": "4.2.amazon\n" }, "amazon"],
  [{ "/sys/devices/virtual/dmi/id/bios_version": "Google\n" }, "google"],
  [{ "/var/lib/dhcp/dhclient.eth0.leases": "  option unknown-245 a8:3f:81:10;\n" }, "azure"],
];
for (const [files, cloud] of CLOUD_FILES) {
  Deno.test(`detectCloud() of ${JSON.stringify(files)} is ${cloud}`, () => {
    assert.equal(detectCloud((path) => files[path]), cloud);
  });
}

/** A metadata service with these documents; everything else is not found. */
function service(documents: Record<string, string>, header?: [string, string]): FetchText {
  return (url, headers) => {
    const text = header === undefined || headers[header[0]] === header[1] ? documents[url] : undefined;
    return text === undefined ? Promise.reject(new Error("404")) : Promise.resolve(text);
  };
}

Deno.test("cloudIdentity() reads Amazon's metadata", async () => {
  const base = "http://169.254.169.254/latest";
  const fetchText = service({
    [`${base}/meta-data/instance-id`]: "i-0abc\n",
    [`${base}/meta-data/instance-type`]: "p3.2xlarge",
    [`${base}/meta-data/local-ipv4`]: "10.0.0.5",
    [`${base}/dynamic/instance-identity/document`]: '{\n "region" : "ap-northeast-2"\n}',
  });
  assert.deepEqual(await cloudIdentity("amazon", { hostname: "h", fetchText }, signal), {
    instanceId: "i-0abc",
    instanceType: "p3.2xlarge",
    region: "amazon/ap-northeast-2",
    address: "10.0.0.5",
  });
});

Deno.test("cloudIdentity() reads Google's metadata, paths and all", async () => {
  const base = "http://metadata.google.internal/computeMetadata/v1/instance";
  const documents = {
    [`${base}/id`]: "123456",
    [`${base}/machine-type`]: "projects/1/machineTypes/n1-standard-1",
    [`${base}/network-interfaces/0/ip`]: "10.128.0.2",
    [`${base}/zone`]: "projects/1/zones/us-central1-a",
  };
  const fetchText = service(documents, ["Metadata-Flavor", "Google"]);
  assert.deepEqual(await cloudIdentity("google", { hostname: "h", fetchText }, signal), {
    instanceId: "123456",
    instanceType: "projects/1/machineTypes/n1-standard-1",
    region: "google/projects/1/zones/us-central1",
    address: "10.128.0.2",
  });
});

Deno.test("cloudIdentity() reads Azure's metadata, and takes a fallback for each that is missing", async () => {
  const document = JSON.stringify({
    compute: { vmId: "02aab8a4", location: "westus" },
    network: { interface: [{ ipv4: { ipaddress: [{ ipaddress: "10.1.0.4" }] } }] },
  });
  const url = "http://169.254.169.254/metadata/instance?version=2017-03-01";
  const fetchText = service({ [url]: document }, ["Metadata", "true"]);
  assert.deepEqual(await cloudIdentity("azure", { hostname: "h", fetchText }, signal), {
    instanceId: "02aab8a4",
    instanceType: "unknown",
    region: "azure/westus",
    address: "10.1.0.4",
  });
});

Deno.test("cloudIdentity() takes no page of a proxy for an instance id", async () => {
  const fetchText: FetchText = () => Promise.resolve("<html>\nlog in first\n</html>");
  const identity = await cloudIdentity("amazon", { hostname: "h", fetchText }, signal);
  assert.deepEqual([identity.instanceId, identity.region], ["i-h", "amazon/unknown"]);
});

Deno.test("onPremiseIdentity() takes the region it is given", () => {
  assert.equal(onPremiseIdentity("h", "seoul").region, "seoul");
  assert.equal(onPremiseIdentity("h", "").region, "local");
});

const LAYOUTS = ["v1-cgroupfs", "v1-systemd", "v2-cgroupfs", "v2-systemd"] as const;

/** A copy of a recorded tree that can be changed. */
async function meterHarness(layout: (typeof LAYOUTS)[number]): Promise<UsageMeterHarness> {
  const root = await tempDir();
  const group = layout.endsWith("systemd") ? `system.slice/docker-${CONTAINER}.scope` : `docker/${CONTAINER}`;
  const isV1 = layout.startsWith("v1");
  const file = (controller: string, name: string) => `${root.path}/${isV1 ? `${controller}/` : ""}${group}/${name}`;
  const cpu = isV1 ? file("cpuacct", "cpuacct.usage") : file("", "cpu.stat");
  const memory = isV1 ? file("memory", "memory.usage_in_bytes") : file("", "memory.current");
  const io = isV1 ? file("blkio", "blkio.throttle.io_service_bytes") : file("", "io.stat");
  const workDir = `${root.path}/work`;
  if (!isV1) await writeFile(`${root.path}/cgroup.controllers`, "cpu io memory\n");
  const files = { cpuNs: cpu, memoryBytes: memory, ioReadBytes: io, ioWriteBytes: io, scratchBytes: workDir };
  return {
    meter: new CgroupMeter({ scratchWorkDir: () => workDir, cgroupRoot: root.path }),
    async use({ cpuNs, memoryBytes, ioReadBytes, ioWriteBytes, scratchBytes }) {
      await writeFile(cpu, isV1 ? `${cpuNs}\n` : `usage_usec ${cpuNs / 1000n}\nuser_usec 1\n`);
      await writeFile(memory, `${memoryBytes}\n`);
      await writeFile(io, isV1 ? v1Io(ioReadBytes, ioWriteBytes) : v2Io(ioReadBytes, ioWriteBytes));
      await writeFile(`${workDir}/a/b/c`, "x".repeat(Number(scratchBytes)));
    },
    hide: (counter: keyof KernelUsage) => Deno.remove(files[counter], { recursive: true }),
    [Symbol.asyncDispose]: () => root[Symbol.asyncDispose](),
  };
}

function v1Io(read: bigint, write: bigint): string {
  return `8:0 Read ${read - 1n}\n8:0 Write ${write}\n8:16 Read 1\n8:16 Write 0\nTotal ${read + write}\n`;
}

function v2Io(read: bigint, write: bigint): string {
  return `8:0 rbytes=${read - 1n} wbytes=${write} rios=1 wios=0\n8:16 rbytes=1 wbytes=0 rios=1 wios=0\n`;
}

for (const layout of LAYOUTS) {
  usageMeterContract(`CgroupMeter on ${layout}`, () => meterHarness(layout));

  Deno.test(`[03-D12] Cgroups reads the recorded tree ${layout}`, () => {
    const usage = new Cgroups(`${FIXTURES}/cgroup/${layout}`).read(CONTAINER, 0);
    const expected = layout.startsWith("v1")
      ? { cpuNs: 134_698_660n, memoryBytes: 88_395_776n, ioReadBytes: 8_196_096n, ioWriteBytes: 5_096n }
      : { cpuNs: 1_234_567_000n, memoryBytes: 73_400_320n, ioReadBytes: 8_193_000n, ioWriteBytes: 6_096n };
    assert.deepEqual(usage, expected);
  });
}

Deno.test("[03-D12] Cgroups finds the groups of an engine with a parent of its own", async () => {
  await using root = await tempDir();
  const group = `machine.slice/kernels.slice/docker-${CONTAINER}.scope`;
  const write = (controller: string, name: string, text: string) =>
    writeFile(`${root.path}/${controller}/${group}/${name}`, text);
  await write("cpuacct", "cpuacct.usage", "5\n");
  await write("memory", "memory.usage_in_bytes", "6\n");
  await write("blkio", "blkio.throttle.io_service_bytes", "Total 0\n");
  const cgroups = new Cgroups(root.path);
  assert.equal(cgroups.read(CONTAINER, 0)?.cpuNs, 5n);
  assert.equal(cgroups.read(CONTAINER, 1)?.memoryBytes, 6n, "without another search");
});

Deno.test("parseV1() and parseV2() take no text for another", () => {
  assert.equal(parseV1("x", "1\n", ""), undefined);
  assert.equal(parseV1("1\n", "max\n", ""), undefined);
  assert.equal(parseV2("user_usec 5\n", "1\n", ""), undefined);
  assert.equal(parseV2("usage_usec 5\n", "", ""), undefined);
});

Deno.test("CgroupMeter.node() reads the recorded /proc, each device once", async () => {
  const meter = new CgroupMeter({
    scratchWorkDir: () => "/nowhere",
    procRoot: `${FIXTURES}/proc`,
    fileSystemBlocks: (path) => {
      if (path === "/tank") return Promise.reject(new Error("closed"));
      return Promise.resolve({ blockBytes: 4096n, blocks: 1000n, available: path === "/" ? 400n : 900n });
    },
  });
  assert.deepEqual(await meter.node(signal), {
    cpuMs: [1_500, 2_700],
    memoryTotalBytes: 16_777_216_000n,
    memoryUsedBytes: 4_194_304_000n,
    disks: new Map([
      ["/dev/vda", { usedBytes: 2_457_600n, totalBytes: 4_096_000n }],
      ["/dev/vdb1", { usedBytes: 409_600n, totalBytes: 4_096_000n }],
    ]),
    netReceivedBytes: 727_359_936n,
    netSentBytes: 1_680_559n,
  });
});

Deno.test("CgroupMeter.node() reads this machine", async () => {
  const usage = await new CgroupMeter({ scratchWorkDir: () => "/nowhere" }).node(signal);
  assert.equal(usage.cpuMs.length, navigator.hardwareConcurrency);
});

Deno.test("the readers of /proc refuse what they do not know", () => {
  assert.equal(parseCpuTimes("cpu 1 2 3\n"), undefined);
  assert.deepEqual(parseCpuTimes("cpu0 1 0 1 9 \ncpu2 2 0 2 9 \n"), [20, 0, 40]);
  assert.equal(parseMemory("MemTotal: 5 kB\n"), undefined);
  assert.equal(parseNetwork("face |bytes\n"), undefined);
  assert.deepEqual(physicalMounts("x", ""), new Map());
});

Deno.test("ScratchSizes counts files and links, and follows none", async () => {
  await using root = await tempDir();
  const dir = `${root.path}/work`;
  await writeFile(`${root.path}/outside/large`, "x".repeat(10_000));
  await writeFile(`${dir}/a/b/file`, "x".repeat(100));
  await writeFile(`${dir}/file`, "x".repeat(10));
  await Deno.symlink(`${root.path}/outside`, `${dir}/link`); // a link's size is the length of its text
  await Deno.symlink("/nowhere", `${dir}/dangling`);
  const expected = BigInt(110 + `${root.path}/outside`.length + "/nowhere".length);
  assert.equal(await new ScratchSizes().measure(dir, signal), expected);
});

Deno.test("ScratchSizes measures a directory once for callers of the same moment, and remembers", async () => {
  await using root = await tempDir();
  await writeFile(`${root.path}/work/file`, "x");
  const sizes = new ScratchSizes();
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => sizes.measure(`${root.path}/work`, signal))), [1n, 1n, 1n]);
  await writeFile(`${root.path}/work/file`, "xx");
  assert.equal(await sizes.measure(`${root.path}/work`, signal), 1n);
});

Deno.test("ScratchSizes does not remember that a directory is missing", async () => {
  await using root = await tempDir();
  const sizes = new ScratchSizes();
  assert.equal(await sizes.measure(`${root.path}/work`, signal), undefined);
  await writeFile(`${root.path}/work/file`, "x");
  assert.equal(await sizes.measure(`${root.path}/work`, signal), 1n);
});

Deno.test("ScratchSizes gives the event loop its turns in a large directory", async () => {
  await using root = await tempDir();
  await Deno.mkdir(`${root.path}/work`);
  for (let i = 0; i < 8_000; i++) Deno.writeTextFileSync(`${root.path}/work/${i}`, "x");
  let turns = 0;
  const ticker = setInterval(() => turns++, 0);
  try {
    assert.equal(await new ScratchSizes().measure(`${root.path}/work`, signal), 8_000n);
  } finally {
    clearInterval(ticker);
  }
  assert.ok(turns > 0);
});

Deno.test("ScratchSizes ends the wait when the signal is aborted, and the walk goes on", async () => {
  await using root = await tempDir();
  await writeFile(`${root.path}/work/file`, "x");
  const sizes = new ScratchSizes();
  const controller = new AbortController();
  const first = sizes.measure(`${root.path}/work`, controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(first, /enough/);
  assert.equal(await sizes.measure(`${root.path}/work`, signal), 1n);
});

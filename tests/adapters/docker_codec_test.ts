import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { decodeNetworks, networkName } from "../../adapters/docker/agent_network.ts";
import { negotiateVersion } from "../../adapters/docker/api_version.ts";
import { ByteTail, FrameDecoder } from "../../adapters/docker/console_log.ts";
import { encodeCreate } from "../../adapters/docker/container_payload.ts";
import { decodeCreated, decodeFacts, decodeInspection, decodeList } from "../../adapters/docker/container_reply.ts";
import { endpointText, engineEndpoint } from "../../adapters/docker/endpoint.ts";
import { decodeDeath, decodeEngineTime } from "../../adapters/docker/event_stream.ts";
import {
  decodeImage,
  decodeImages,
  decodePathStat,
  decodePullError,
  pullQuery,
  registryAuth,
} from "../../adapters/docker/image_reply.ts";
import { jsonLines } from "../../adapters/docker/json_lines.ts";
import { ReplyValue } from "../../adapters/docker/reply.ts";
import { firstFile } from "../../adapters/docker/tar_entry.ts";
import { InvalidField, StartFailed } from "../../domain/errors.ts";
import { parseAgentId, parseImageId, parseKernelId } from "../../domain/ids.ts";
import type { ContainerSpec } from "../../src/ports/container_runtime.ts";

const FIXTURES = new URL("../fixtures/docker/engine-20.10/", import.meta.url);
const bytesOf = (name: string): Uint8Array<ArrayBuffer> => Deno.readFileSync(new URL(name, FIXTURES));
const textOf = (name: string): string => Deno.readTextFileSync(new URL(name, FIXTURES));
const recorded = (name: string): ReplyValue => new ReplyValue(JSON.parse(textOf(name)));
const reply = (value: unknown): ReplyValue => new ReplyValue(value);

const kernel = (digit: number) => parseKernelId(`00000000-0000-4000-8000-00000000000${digit}`);
const agentId = parseAgentId("i-worker.1");
const hex64 = "0123456789abcdef".repeat(4);
const imageId = parseImageId(`sha256:${hex64}`);

Deno.test("engineEndpoint() reads DOCKER_HOST", () => {
  const rows: [string | undefined, boolean, string][] = [
    [undefined, true, "unix:///run/docker.sock"],
    [undefined, false, "unix:///var/run/docker.sock"],
    ["", true, "unix:///run/docker.sock"],
    ["unix:///tmp/a b.sock", true, "unix:///tmp/a b.sock"],
    ["tcp://127.0.0.1:2376", true, "tcp://127.0.0.1:2376"],
    ["tcp://engine.test", true, "tcp://engine.test:2375"],
    ["tcp://engine.test:80/", true, "tcp://engine.test:80"],
    ["tcp://[::1]:2375", true, "tcp://[::1]:2375"],
  ];
  for (const [dockerHost, exists, expected] of rows) {
    assert.equal(endpointText(engineEndpoint(dockerHost, () => exists)), expected, dockerHost ?? "unset");
  }
  for (const wrong of ["ssh://me@engine.test", "unix://relative", "tcp://", "127.0.0.1:2375", "npipe:////./pipe/x"]) {
    assert.throws(() => engineEndpoint(wrong, () => true), StartFailed, wrong);
  }
});

Deno.test("negotiateVersion() takes the newest version that both sides know", () => {
  assert.equal(negotiateVersion(recorded("version.json")), "1.41");
  const rows: [string, string | undefined, string][] = [
    ["1.35", "1.12", "1.35"],
    ["1.51", "1.24", "1.51"],
    ["1.60", "1.44", "1.51"],
    ["1.60", "1.55", "1.55"],
    ["1.40", undefined, "1.40"],
  ];
  for (const [ApiVersion, MinAPIVersion, expected] of rows) {
    assert.equal(negotiateVersion(reply({ ApiVersion, MinAPIVersion })), expected);
  }
  for (const ApiVersion of ["1.9", "1.34", "new", undefined]) {
    assert.throws(() => negotiateVersion(reply({ ApiVersion })), InvalidField);
  }
});

Deno.test("ReplyValue names the place of what it cannot read", () => {
  const value = reply({ A: { B: [{ C: 1 }] } });
  assert.throws(() => value.at("A").at("B").list[0]?.at("C").text, /"reply\.A\.B\[0\]\.C": expected text, got 1/);
  assert.throws(() => value.at("A").at("none").at("deep").integer, /"reply\.A\.none\.deep": expected .*, got nothing/);
  assert.throws(() => value.at("A").list, InvalidField);
  assert.equal(reply({ a: 1 }).at("toString").absent, true);
});

const SPEC: ContainerSpec = {
  kernelId: kernel(1),
  name: "kernel.python.x",
  imageId,
  command: ["/opt/kernel/run", "python"],
  workdir: "/home/work",
  uid: 1000,
  gid: 1001,
  environ: new Map([["A", "b=c"], ["EMPTY", ""]]),
  labels: new Map([["ai.backend.kernel-id", kernel(1)], ["ai.backend.internal.agent-id", "somebody else"]]),
  mounts: [
    { source: "/scratch/config", target: "/home/config", readOnly: true },
    { source: "/scratch/work", target: "/home/work", readOnly: false },
  ],
  ports: [
    { containerPort: 2000, hostAddress: "127.0.0.1", hostPort: 30000 },
    { containerPort: 8080, hostAddress: "10.0.0.5", hostPort: 30001 },
  ],
  cores: [10, 2],
  cpuQuota: 1.5,
  memoryBytes: 2n ** 53n - 1n,
  shmemBytes: 67108864n,
  pidsLimit: 512,
};

Deno.test("encodeCreate() gives the payload of 04 §9", () => {
  assert.deepEqual(JSON.parse(JSON.stringify(encodeCreate(SPEC, agentId, "the-network"))), {
    Image: imageId,
    User: "1000:1001",
    Tty: true,
    OpenStdin: true,
    StopSignal: "SIGINT",
    WorkingDir: "/home/work",
    Entrypoint: ["/opt/kernel/run", "python"],
    Cmd: [],
    Env: ["A=b=c", "EMPTY="],
    Labels: { "ai.backend.kernel-id": kernel(1), "ai.backend.internal.agent-id": "i-worker.1" },
    ExposedPorts: { "2000/tcp": {}, "8080/tcp": {} },
    HostConfig: {
      Privileged: false,
      Init: true,
      Mounts: [
        { Type: "bind", Source: "/scratch/config", Target: "/home/config", ReadOnly: true, BindOptions: {} },
        { Type: "bind", Source: "/scratch/work", Target: "/home/work", ReadOnly: false, BindOptions: {} },
      ],
      NetworkMode: "the-network",
      PortBindings: {
        "2000/tcp": [{ HostIp: "127.0.0.1", HostPort: "30000" }],
        "8080/tcp": [{ HostIp: "10.0.0.5", HostPort: "30001" }],
      },
      PublishAllPorts: false,
      CpuPeriod: 100000,
      CpuQuota: 150000,
      CpusetCpus: "2,10",
      Memory: 9007199254740991,
      MemorySwap: 9007199254740991,
      ShmSize: 67108864,
      PidsLimit: 512,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      LogConfig: { Type: "json-file", Config: { "max-size": "4m", "max-file": "2" } },
    },
  });
});

Deno.test("encodeCreate() leaves the capabilities of root, and the engine's default of /dev/shm", () => {
  const json = JSON.stringify(encodeCreate({ ...SPEC, uid: 0, shmemBytes: 0n }, agentId, "n"));
  assert.doesNotMatch(json, /CapDrop|ShmSize/);
});

Deno.test("encodeCreate() refuses an amount that JSON cannot hold exactly", () => {
  for (const memoryBytes of [2n ** 53n, -1n]) {
    assert.throws(() => encodeCreate({ ...SPEC, memoryBytes }, agentId, "n"), InvalidField);
  }
});

Deno.test("networkName() is readable, fits an interface of the engine, and distinguishes agents", () => {
  assert.match(networkName(agentId), /^backendai-i-worker\.1-[0-9a-f]{8}$/);
  const ids = ["i-a+b", "i-a*b", "x".repeat(64), `${"x".repeat(63)}y`].map(parseAgentId);
  const names = new Set(ids.map(networkName));
  assert.equal(names.size, ids.length);
  for (const name of names) assert.match(name, /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/);
});

Deno.test("decodeNetworks() reads a recorded list", () => {
  assert.deepEqual(decodeNetworks(recorded("networks.json")), [{
    id: "b4c848dddc79a09550b1b72c4cd9eac13420ed34c1aa77024c1271fac0ef8565",
    name: "backendai-i-test-6024d717-own-bf649241",
    createdMs: Date.parse("2026-11-23T20:45:59.776Z"),
    driver: "bridge",
    agentId: "i-test-6024d717-own",
    icc: "false",
  }]);
});

Deno.test("decodeCreated() reads a recorded reply and warnings", () => {
  assert.match(decodeCreated(recorded("created.json")).id, /^9bb1ca789b7a/);
  assert.deepEqual(decodeCreated(reply({ Id: hex64, Warnings: ["no swap"] })).warnings, ["no swap"]);
  assert.deepEqual(decodeCreated(reply({ Id: hex64, Warnings: null })).warnings, []);
  for (const Id of ["", "abc", undefined, 5]) assert.throws(() => decodeCreated(reply({ Id })), InvalidField);
});

Deno.test("decodeFacts() reads a recorded reply", () => {
  const facts = decodeFacts(recorded("info.json"));
  assert.deepEqual(facts, { version: "20.10.24+dfsg1", cores: 2, memoryBytes: 25276502016n });
});

Deno.test("decodeList() reads a recorded list and sets apart what has no kernel id", () => {
  const { kernels, strange } = decodeList(recorded("container_list.json"));
  assert.deepEqual(kernels.map(({ kernelId, status }) => [kernelId, status]), [
    [kernel(3), "created"],
    [kernel(2), "dead"],
    [kernel(1), "running"],
  ]);
  assert.match(strange.join(), /^9bb1ca789b7a[0-9a-f]{52}$/);
});

Deno.test("decodeList() knows every state of the engine, and takes an unknown one for running", () => {
  const states = ["created", "running", "paused", "restarting", "removing", "exited", "dead", "hibernating"];
  const Labels = { "ai.backend.kernel-id": kernel(1) };
  const { kernels } = decodeList(reply(states.map((State) => ({ Id: hex64, Labels, State }))));
  assert.deepEqual(kernels.map(({ status }) => status), [
    ...["created", "running", "running", "running"],
    ...["dead", "dead", "dead", "running"],
  ]);
});

Deno.test("decodeInspection() reads recorded containers", () => {
  const rows = [
    ["inspect_running.json", kernel(1), "running", null, new Map([[2000, 40525], [2001, 39995]])],
    ["inspect_dead.json", kernel(2), "dead", 3, new Map()],
    ["inspect_created.json", kernel(3), "created", null, new Map()],
  ] as const;
  for (const [file, kernelId, status, exitCode, hostPorts] of rows) {
    const { agentId, tty, details } = decodeInspection(recorded(file));
    assert.deepEqual([agentId, tty], ["i-test-6024d717-own", true]);
    assert.deepEqual({ ...details, id: "" }, { id: "", kernelId, status, exitCode, hostPorts });
  }
});

Deno.test("decodeInspection() reads what newer engines add and leave out", () => {
  const { agentId, details } = decodeInspection(reply({
    Id: hex64,
    State: { Status: "running", ExitCode: 0, Health: { Status: "starting" } },
    ImageManifestDescriptor: {},
    Config: { Tty: true, Labels: { "ai.backend.kernel-id": kernel(1) } },
    NetworkSettings: {
      Ports: {
        "2000/tcp": [{ HostIp: "0.0.0.0", HostPort: "30000" }, { HostIp: "::", HostPort: "30000" }],
        "2001/tcp": null,
        "53/udp": [{ HostIp: "0.0.0.0", HostPort: "30001" }],
      },
    },
  }));
  assert.equal(agentId, undefined);
  assert.deepEqual(details?.hostPorts, new Map([[2000, 30000]]));
});

Deno.test("decodeDeath() reads the deaths in a recorded stream", async () => {
  const chunks = new Blob([textOf("events.jsonl")]).stream();
  const deaths = [];
  for await (const message of jsonLines(chunks)) deaths.push(decodeDeath(reply(message)));
  assert.deepEqual(
    deaths.filter((death) => death !== undefined).map(({ kernelId, exitCode }) => [kernelId, exitCode]),
    [[kernel(2), 3], [kernel(1), 137]],
  );
});

Deno.test("decodeDeath() gives null for an exit code that the engine does not say", () => {
  const death = (exitCode: unknown) =>
    decodeDeath(reply({
      Type: "container",
      Action: "die",
      Actor: {
        ID: hex64,
        Attributes: { "ai.backend.kernel-id": kernel(1), ...(exitCode === undefined ? {} : { exitCode }) },
      },
    }))?.exitCode;
  assert.deepEqual([undefined, "", "x", "0", "137"].map(death), [null, null, null, 0, 137]);
});

Deno.test("decodeEngineTime() keeps nanoseconds and respects the time zone", () => {
  const rows = [
    ["1970-01-01T00:00:10Z", "10.000000000"],
    ["1970-01-01T00:00:10.5Z", "10.500000000"],
    ["1970-01-01T09:00:10.123456789+09:00", "10.123456789"],
    ["1969-12-31T19:00:10.1-05:00", "10.100000000"],
    ["yesterday", "0"],
  ];
  for (const [SystemTime, expected] of rows) assert.equal(decodeEngineTime(reply({ SystemTime })), expected);
});

/** Cuts bytes at the given places, as a socket may. */
function cut<T extends Uint8Array>(bytes: T, places: readonly number[]): Uint8Array[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b);
  return [0, ...sorted].map((from, index) => bytes.subarray(from, sorted[index] ?? bytes.length));
}

async function* streamOf(chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks;
  await Promise.resolve();
}

Deno.test("jsonLines() gives the same messages however the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue()), fc.array(fc.nat(), { maxLength: 8 }), async (values, places) => {
      const bytes = new TextEncoder().encode(values.map((value) => `${JSON.stringify(value)}\r\n`).join(""));
      const expected: unknown = JSON.parse(JSON.stringify(values));
      assert.deepEqual(await Array.fromAsync(jsonLines(streamOf(cut(bytes, places)))), expected);
    }),
  );
});

Deno.test("jsonLines() refuses what is not JSON and what never ends", async () => {
  await assert.rejects(Array.fromAsync(jsonLines(streamOf([new TextEncoder().encode("<html>\n")]))), SyntaxError);
  const endless = Array.from({ length: 20 }, () => new Uint8Array(100_000).fill(0x20));
  await assert.rejects(Array.fromAsync(jsonLines(streamOf(endless))), /a line of more than 1048576 bytes/);
});

Deno.test("FrameDecoder reads a recorded multiplexed stream", () => {
  const pieces = [...new FrameDecoder().payload(bytesOf("logs_multiplexed.bin"))];
  assert.deepEqual(pieces.map((piece) => new TextDecoder().decode(piece)), ["err\n", "out\n"]);
});

Deno.test("FrameDecoder gives the same payload however the stream is cut", () => {
  const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
  fc.assert(fc.property(frames, fc.array(fc.nat(), { maxLength: 10 }), (payloads, places) => {
    const stream = Buffer.concat(payloads.map((payload) => {
      const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
      header.writeUInt32BE(payload.length, 4);
      return Buffer.concat([header, payload]);
    }));
    const decoder = new FrameDecoder();
    const pieces = cut(stream, places).flatMap((chunk) => [...decoder.payload(chunk)]);
    assert.deepEqual(Buffer.concat(pieces), Buffer.concat(payloads));
  }));
});

Deno.test("ByteTail keeps exactly the last bytes", () => {
  const tail = new ByteTail(100);
  tail.push(bytesOf("logs_tty.bin"));
  assert.equal(tail.text(), "out\r\nerr\r\n");
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 30 })), fc.integer({ min: 0, max: 40 }), (pieces, capacity) => {
      const tail = new ByteTail(capacity);
      for (const piece of pieces) tail.push(piece);
      const all = Buffer.concat(pieces);
      const last = all.subarray(Math.max(0, all.length - capacity));
      assert.equal(tail.text(), new TextDecoder("utf-8", { ignoreBOM: true }).decode(last));
    }),
  );
});

Deno.test("firstFile() reads recorded archives", () => {
  const passwd = firstFile(bytesOf("archive_passwd.tar"), 1000);
  assert.equal(new TextDecoder().decode(passwd), "root:x:0:0::/root:/bin/sh\n");
  assert.equal(firstFile(bytesOf("archive_passwd.tar"), 4)?.length, 4);
  for (const other of ["archive_alias.tar", "archive_directory.tar"]) {
    assert.equal(firstFile(bytesOf(other), 1000), undefined);
  }
});

Deno.test("firstFile() gives undefined for anything that is no archive", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
    assert.equal(firstFile(bytes, 1000), undefined);
  }));
});

Deno.test("decodePathStat() tells files, links and the rest apart", () => {
  assert.deepEqual(decodePathStat(textOf("archive_passwd.stat")), { kind: "file", linkTarget: "" });
  assert.deepEqual(decodePathStat(textOf("archive_alias.stat")), { kind: "symlink", linkTarget: "/etc/passwd" });
  assert.equal(decodePathStat(textOf("archive_directory.stat")).kind, "other");
});

Deno.test("decodeImages() gives tags and leaves out untagged images", () => {
  const tags = decodeImages(recorded("images.json"));
  assert.deepEqual(tags.map(({ tag }) => tag), ["fixture/kernel:1"]);
  const newer = [{ Id: imageId, RepoTags: [] }, { Id: imageId, RepoTags: null }, {
    Id: imageId,
    RepoTags: ["a:1", "b:2"],
  }];
  assert.deepEqual(decodeImages(reply(newer)), [{ tag: "a:1", id: imageId }, { tag: "b:2", id: imageId }]);
});

Deno.test("decodeImage() reads the labels, also where there are none", () => {
  assert.equal(decodeImage(recorded("image.json")).labels.get("ai.backend.kernelspec"), "1");
  for (const Config of [null, undefined, {}, { Labels: null }]) {
    assert.deepEqual(decodeImage(reply({ Id: imageId, Config })), { id: imageId, labels: new Map() });
  }
});

Deno.test("[04-D9] decodePullError() finds the error in a recorded pull", async () => {
  const errors = [];
  for await (const message of jsonLines(new Blob([textOf("pull_broken.jsonl")]).stream())) {
    errors.push(decodePullError(reply(message)));
  }
  assert.deepEqual(errors, [undefined, undefined, undefined, "unknown blob"]);
  assert.equal(decodePullError(reply({ error: "old style" })), "old style");
});

Deno.test("pullQuery() never asks for every tag of a repository", () => {
  assert.deepEqual(pullQuery("127.0.0.1:5000/lablup/python"), {
    fromImage: "127.0.0.1:5000/lablup/python",
    tag: "latest",
  });
  for (const whole of ["a/b:1", `a/b@${imageId}`, "localhost:5000/b:1"]) {
    assert.deepEqual(pullQuery(whole), { fromImage: whole });
  }
});

Deno.test("[04 §6.3] registryAuth() uses the alphabet that the engine reads", () => {
  const credentials = { username: "tester", password: "?>~?>~?>~ 안녕" };
  const header = registryAuth("registry.test:5000/a/b:1", credentials);
  assert.match(header, /^[A-Za-z0-9_=-]+$/);
  assert.deepEqual(JSON.parse(Buffer.from(header, "base64url").toString()), {
    ...credentials,
    email: null,
    serveraddress: "registry.test:5000",
  });
});

import assert from "node:assert/strict";
import {
  AgentStopping,
  CreationCancelled,
  ImagePullFailed,
  InsufficientPorts,
  InsufficientSlots,
  InvalidField,
  KernelExists,
  RuntimeFailed,
} from "../../domain/errors.ts";
import { COUNT } from "../../domain/resource/slots.ts";
import { GIB, KERNEL, kernelId, kernelRequest, MIB, never, PORTS_OF_KERNEL, PYTHON } from "./kernel_request.ts";
import { assertNothingHeld, holdings, makeAgent, now, SETTINGS, settle, World } from "./make_agent.ts";

/** The one container there is. */
function onlyContainer({ engine }: World) {
  assert.equal(engine.containers.size, 1);
  const [container] = engine.containers.values();
  assert.ok(container);
  return container;
}

Deno.test("CreateKernel gives the container mounts, user, environment, labels and limits of the request", async () => {
  const { agent, world } = makeAgent();
  const { containerId } = await agent.createKernel(kernelRequest(), never);
  const { id, spec, status } = onlyContainer(world);
  const config = `/scratch/${KERNEL}/config`;
  assert.deepEqual([id, status, spec.kernelId], [containerId, "running", KERNEL]);
  assert.deepEqual([spec.uid, spec.gid, spec.workdir], [1000, 1001, "/home/work"]);
  assert.deepEqual(spec.mounts, [
    { source: config, target: "/home/config", readOnly: true },
    { source: `/scratch/${KERNEL}/work`, target: "/home/work", readOnly: false },
    { source: "/srv/runner/1", target: "/opt/backend.ai", readOnly: true },
    { source: `${config}/passwd`, target: "/etc/passwd", readOnly: true },
    { source: `${config}/group`, target: "/etc/group", readOnly: true },
    { source: "/mnt/local/vfs/0123456789abcdef0123456789abcdef", target: "/home/work/data", readOnly: false },
    { source: "/mnt/local/vfs/fedcba9876543210fedcba9876543210", target: "/home/work/.logs", readOnly: true },
  ]);
  assert.deepEqual(Object.fromEntries(spec.environ), {
    GREETING: "hello",
    LOCAL_USER_ID: "1000",
    LOCAL_GROUP_ID: "1001",
    OMP_NUM_THREADS: "2",
    OPENBLAS_NUM_THREADS: "2",
    RUNNER: "1",
  });
  assert.equal(spec.labels.get("ai.backend.kernel-id"), KERNEL);
  assert.equal(spec.labels.get("ai.backend.internal.block-service-ports"), "0");
  assert.deepEqual(spec.command, [...SETTINGS.runner.command, "python", "/usr/bin/python3"]);
  assert.deepEqual([spec.cores, spec.cpuQuota], [[0, 1], 2]);
  assert.deepEqual([spec.memoryBytes, spec.shmemBytes], [GIB - 64n * MIB, 64n * MIB]);
});

Deno.test("[04-D10] CreateKernel starts the image that was asked for, whatever its tag points at", async () => {
  const { agent, world } = makeAgent();
  world.images.add({ ...PYTHON, tags: ["lablup/python:other"] });
  await agent.createKernel(kernelRequest(), never);
  assert.equal(onlyContainer(world).spec.imageId, PYTHON.id);
});

Deno.test("[06-D-A12] CreateKernel publishes the runner on loopback only, services on the kernel host", async () => {
  const { agent, world } = makeAgent();
  const created = await agent.createKernel(kernelRequest(), never);
  const { ports } = onlyContainer(world).spec;
  assert.deepEqual(ports.map(({ containerPort, hostAddress, hostPort }) => [containerPort, hostAddress, hostPort]), [
    [2000, "127.0.0.1", 30_000],
    [2001, "127.0.0.1", 30_001],
    [2200, "10.0.0.7", 30_002],
    [7681, "10.0.0.7", 30_003],
    [8080, "10.0.0.7", 30_004],
    [4000, "10.0.0.7", 30_005],
    [4001, "10.0.0.7", 30_006],
  ]);
  assert.deepEqual([created.kernelHost, created.replInPort, created.replOutPort], ["10.0.0.7", 30_000, 30_001]);
  assert.deepEqual(created.services.map(({ name, hostPorts }) => [name, hostPorts]), [
    ["sshd", [30_002]],
    ["ttyd", [30_003]],
    ["jupyter", [30_004]],
    ["cluster", [30_005, 30_006]],
  ]);
});

Deno.test("[04-D26] CreateKernel passes over ports that another program holds", async () => {
  const { agent, fakes, ports } = makeAgent();
  fakes.host.bound.add("10.0.0.7:30001").add("127.0.0.1:30003");
  await agent.createKernel(kernelRequest(), never);
  assert.deepEqual(ports.heldBy(KERNEL), [30_000, 30_002, 30_004, 30_005, 30_006, 30_007, 30_008]);
});

Deno.test("CreateKernel answers with what was allocated, and holds just that", async () => {
  const test = makeAgent();
  const created = await test.agent.createKernel(kernelRequest(), never);
  assert.deepEqual(created.allocation, test.ledger.held(KERNEL));
  assert.deepEqual(created.slots, kernelRequest().slots);
  assert.equal(created.idleTimeoutS, 600);
  assert.deepEqual(created.mounts, [
    "/mnt/local/vfs/0123456789abcdef0123456789abcdef:/home/work/data:rw",
    "/mnt/local/vfs/fedcba9876543210fedcba9876543210:/home/work/.logs:ro",
  ]);
  assert.deepEqual(holdings(test), {
    freeCores: 2n * COUNT,
    freeMemory: 7n * GIB,
    freePorts: 100 - PORTS_OF_KERNEL,
    kernels: 1,
    channels: 1,
    scratches: 1,
    containers: 1,
  });
});

Deno.test("CreateKernel writes the kernel's files and its record", async () => {
  const { agent, world, clock } = makeAgent();
  const { containerId, allocation } = await agent.createKernel(kernelRequest(), never);
  const scratch = world.scratches.get(KERNEL);
  assert.deepEqual(scratch?.owner, { uid: 1000, gid: 1001 });
  assert.equal(scratch.config.get("kernel_id.txt"), KERNEL.replaceAll("-", ""));
  assert.match(scratch.config.get("environ.txt") ?? "", /^GREETING=hello$/m);
  assert.doesNotMatch(scratch.config.get("environ.txt") ?? "", /RUNNER/, "that is the runner's alone");
  assert.match(scratch.config.get("resource.txt") ?? "", new RegExp(`^CID=${containerId}\n`));
  assert.match(scratch.config.get("passwd") ?? "", /^work:x:1000:1001:/);
  assert.match(scratch.config.get("group") ?? "", /^work:x:1001:/);
  const { record } = scratch;
  assert.deepEqual([record?.containerId, record?.allocation, record?.imageId], [containerId, allocation, PYTHON.id]);
  assert.equal(record?.hostPorts.length, PORTS_OF_KERNEL);
  assert.equal(record.createdAtMs, clock.now());
});

Deno.test("[09-1] CreateKernel leaves the accounts of the image alone when kernels run as root", async () => {
  const { agent, world } = makeAgent({ settings: { user: { uid: 0, gid: 0 } } });
  await agent.createKernel(kernelRequest(), never);
  const { spec } = onlyContainer(world);
  assert.deepEqual([spec.uid, spec.gid], [0, 0]);
  assert.ok(!spec.mounts.some(({ target }) => target.startsWith("/etc/")));
});

Deno.test("[04-2.1] CreateKernel mounts only the log folder when folders are not wanted", async () => {
  const { agent, world } = makeAgent();
  await agent.createKernel(kernelRequest({ preventFolderMounts: true, blockServicePorts: true }), never);
  const { mounts, labels } = onlyContainer(world).spec;
  assert.deepEqual(mounts.slice(5).map(({ target }) => target), ["/home/work/.logs"]);
  assert.equal(labels.get("ai.backend.internal.block-service-ports"), "1");
});

Deno.test("[02-6] CreateKernel tells preparing, creating and started, in this order and before it answers", async () => {
  const test = makeAgent();
  await test.agent.createKernel(kernelRequest(), never);
  assert.deepEqual(test.told, ["kernel_preparing", "kernel_creating", "kernel_started"]);
});

Deno.test("[02-6] CreateKernel pulls an image that is not here, and tells so", async () => {
  const test = makeAgent({ world: new World([]) });
  await test.agent.createKernel(kernelRequest(), never);
  assert.deepEqual(test.told, ["kernel_preparing", "kernel_pulling", "kernel_creating", "kernel_started"]);
  const pulling = test.fakes.sink.events[1];
  assert.equal(pulling?.kind === "kernel_pulling" && pulling.image, "index.docker.io/lablup/python:3.6-ubuntu18.04");
});

Deno.test("CreateKernel pulls with the credentials of the request", async () => {
  const world = new World([]);
  const credentials = { username: "reader", password: "secret" };
  for (const [name, { image }] of world.images.registry) world.images.registry.set(name, { image, credentials });
  const { agent } = makeAgent({ world });
  const request = kernelRequest();
  await assert.rejects(agent.createKernel(request, never), ImagePullFailed);
  await agent.createKernel({ ...request, image: { ...request.image, credentials } }, never);
});

Deno.test("[04-D10] CreateKernel refuses a pulled image that is not the one asked for", async () => {
  const world = new World([]);
  const { id } = PYTHON;
  const other = { ...PYTHON, id: id.replaceAll("a", "c") as typeof id }; // still 64 hex digits
  for (const name of world.images.registry.keys()) world.images.registry.set(name, { image: other });
  const test = makeAgent({ world });
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), ImagePullFailed);
  assertNothingHeld(test);
});

Deno.test("[04-D40] CreateKernel refuses a kernel that exists, and leaves that one alone", async () => {
  const test = makeAgent();
  await test.agent.createKernel(kernelRequest(), never);
  const before = holdings(test);
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), KernelExists);
  assert.deepEqual([holdings(test), test.table.running(KERNEL).id], [before, KERNEL]);
  assert.deepEqual(test.told, ["kernel_preparing", "kernel_creating", "kernel_started"]);
});

Deno.test("[04-D40] CreateKernel refuses the second of two creations at once", async () => {
  const test = makeAgent();
  const first = test.agent.createKernel(kernelRequest(), never);
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), KernelExists);
  assert.equal((await first).kernelId, KERNEL);
});

Deno.test("[04-D1] CreateKernel leaves nothing behind when slots or ports are short", async () => {
  const slots = makeAgent({ cores: 2 });
  const request = kernelRequest({ slots: new Map([["cpu", 3n * COUNT], ["mem", GIB]]) });
  await assert.rejects(slots.agent.createKernel(request, never), InsufficientSlots);
  assertNothingHeld(slots);
  const ports = makeAgent({ ports: [30_000, 30_005] });
  await assert.rejects(ports.agent.createKernel(kernelRequest(), never), InsufficientPorts);
  assertNothingHeld(ports);
});

for (
  const [what, slots, shmemBytes] of [
    ["no core", { mem: GIB }, 0n],
    ["less than a core", { cpu: COUNT / 2n, mem: GIB }, 0n],
    ["no memory", { cpu: COUNT }, 0n],
    ["no memory beside its shared memory", { cpu: COUNT, mem: GIB }, GIB],
  ] as const
) {
  Deno.test(`[04-D44] CreateKernel refuses a kernel with ${what}: the engine would not limit it`, async () => {
    const test = makeAgent();
    const request = kernelRequest({ slots: new Map(Object.entries(slots)), shmemBytes });
    await assert.rejects(test.agent.createKernel(request, never), InvalidField);
    assertNothingHeld(test);
  });
}

Deno.test("[04-D27] CreateKernel refuses a bad service label before it tells or takes anything", async () => {
  const test = makeAgent();
  const { image } = kernelRequest();
  const labels = new Map(image.labels).set("ai.backend.service-ports", "sshd:tcp:2200");
  await assert.rejects(test.agent.createKernel(kernelRequest({ image: { ...image, labels } }), never), InvalidField);
  assert.deepEqual(test.told, []);
  assertNothingHeld(test);
});

Deno.test("CreateKernel fails when the container ends at once, and leaves nothing behind", async () => {
  const test = makeAgent();
  const { runtime } = test.fakes;
  runtime.onStart = ({ id }) => {
    runtime.print(id, "no such file");
    runtime.die(id, 127);
  };
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), (error) => {
    return error instanceof RuntimeFailed && error.message.includes("127");
  });
  assertNothingHeld(test);
  assert.deepEqual(test.told, ["kernel_preparing", "kernel_creating"]);
  assert.equal(test.log.entries.find(({ level }) => level === "error")?.fields["output"], "no such file");
});

Deno.test("CreateKernel fails when a port is not bound where it was asked for", async () => {
  const test = makeAgent();
  test.steps.before = (step) => {
    if (step !== "runtime.inspect") return;
    const container = onlyContainer(test.world);
    test.world.engine.containers.set(container.id, { ...container, spec: { ...container.spec, ports: [] } });
  };
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), /port 2000 is not at 30000/);
  assertNothingHeld(test);
});

Deno.test("[04-14] CreateKernel lets a container die before the kernel is registered; its end comes after its start", async () => {
  const test = makeAgent();
  const stop = new AbortController();
  const following = test.observer.follow(stop.signal);
  test.steps.before = (step) => {
    const { record } = test.table.find(KERNEL) ?? {};
    if (step === "sink.publish" && record !== undefined) test.fakes.runtime.die(record.containerId, 3);
  };
  await settle();
  await test.agent.createKernel(kernelRequest(), never);
  await settle();
  assert.deepEqual(test.told, [
    "kernel_preparing",
    "kernel_creating",
    "kernel_started",
    "kernel_terminated self-terminated 3",
  ]);
  assertNothingHeld(test);
  stop.abort();
  await following;
});

Deno.test("CreateKernel works again with an id whose creation has failed", async () => {
  const test = makeAgent({ faults: { runtime: { start: [new RuntimeFailed("start", 500, "boom")] } } });
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), RuntimeFailed);
  assert.equal((await test.agent.createKernel(kernelRequest(), never)).kernelId, KERNEL);
});

Deno.test("[04-D39] a destroyed creation does not disturb another one that waits for the same image", async () => {
  const test = makeAgent();
  const { images } = test.world;
  const read = images.readFile.bind(images);
  images.readFile = (_image, _path, signal) => {
    images.readFile = read; // the first reader gets stuck, all others do not
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  };
  const destroyed = assert.rejects(test.agent.createKernel(kernelRequest(), never), CreationCancelled);
  const other = test.agent.createKernel(kernelRequest({ kernelId: kernelId(2) }), never);
  await settle();
  await now(test.agent.destroyKernel(KERNEL, "user-requested", never));
  await destroyed;
  assert.equal((await now(other)).kernelId, kernelId(2));
});

Deno.test("CreateKernel refuses new kernels once the agent stops", async () => {
  const test = makeAgent();
  await now(test.creator.stop());
  await assert.rejects(test.agent.createKernel(kernelRequest(), never), AgentStopping);
  assert.deepEqual(test.told, []);
});

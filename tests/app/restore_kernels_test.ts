import assert from "node:assert/strict";
import { RuntimeFailed, RuntimeUnavailable } from "../../domain/errors.ts";
import { COUNT } from "../../domain/resource/slots.ts";
import { GIB, KERNEL, kernelId, kernelRequest, never } from "./kernel_request.ts";
import { assertNothingHeld, holdings, makeAgent, now, settle, type TestAgent, World } from "./make_agent.ts";

const ENDED = "kernel_terminated self-terminated";

/** An agent that was killed while a kernel ran, and the next one in the same world. */
async function makeRestarted(options: Parameters<typeof makeAgent>[0] = {}, slots = kernelRequest().slots) {
  const before = makeAgent();
  const { containerId } = await before.agent.createKernel(kernelRequest({ slots }), never);
  await settle();
  before.table.find(KERNEL)?.session?.detach();
  return { before, containerId, next: makeAgent({ ...options, world: before.world }) };
}

async function restore({ restorer }: TestAgent): Promise<number> {
  const running = await now(restorer.execute(never));
  await settle();
  return running;
}

/** A second container that carries the id of the kernel. */
async function addTwin({ fakes, world }: TestAgent) {
  const [container] = world.engine.containers.values();
  assert.ok(container);
  const twin = await fakes.runtime.create({ ...container.spec, name: "twin", ports: [] }, never);
  await fakes.runtime.start(twin, never);
  return twin;
}

Deno.test("[04-D19] RestoreKernels takes up a running kernel with exactly what it holds", async () => {
  const slots = new Map([["cpu", 3n * COUNT], ["mem", 1_500_000_000n]]);
  const { before, next } = await makeRestarted({}, slots);
  assert.equal(await restore(next), 1);
  assert.deepEqual(holdings(next), { ...holdings(before), channels: 1 });
  assert.deepEqual(next.ledger.held(KERNEL), before.ledger.held(KERNEL));
  assert.deepEqual(next.ports.heldBy(KERNEL), before.ports.heldBy(KERNEL));
  assert.deepEqual(next.table.running(KERNEL).record, before.table.running(KERNEL).record);
  assert.deepEqual(next.told, []);
});

Deno.test("[04-D19] a restored kernel gives everything back when it ends", async () => {
  const { next } = await makeRestarted();
  await restore(next);
  await now(next.agent.destroyKernel(KERNEL, "user-requested", never));
  await settle();
  assertNothingHeld(next);
  assert.deepEqual(next.told, ["kernel_terminated user-requested 137"]);
});

Deno.test("a restored kernel runs code by the runner it had", async () => {
  const { next } = await makeRestarted();
  await restore(next);
  const request = { kernelId: KERNEL, runId: null, apiVersion: 3, mode: "query", code: "1", options: {} } as const;
  const running = next.agent.execute({ ...request, flushTimeoutMs: null }, never);
  const { record } = next.table.running(KERNEL);
  next.world.runners.runner({ commandPort: record?.replInPort ?? 0 }).emit({ kind: "finished", exitCode: 0 });
  assert.equal((await now(running)).status, "finished");
});

Deno.test("[04-14] a restored kernel counts as used at the moment of its restoration", async () => {
  const { next } = await makeRestarted();
  await next.clock.advance(3_600_000);
  await restore(next);
  next.idle.execute(never);
  assert.ok(next.table.running(KERNEL));
});

Deno.test("[04-D19] RestoreKernels takes up kernels that fill the agent, and refuses more until one ends", async () => {
  const { next } = await makeRestarted({}, new Map([["cpu", 4n * COUNT], ["mem", GIB]]));
  await restore(next);
  const more = kernelRequest({ kernelId: kernelId(2), slots: new Map([["cpu", COUNT], ["mem", GIB]]) });
  await assert.rejects(next.agent.createKernel(more, never), { code: "insufficient_slots" });
  await now(next.agent.destroyKernel(KERNEL, "user-requested", never));
  await settle();
  await next.agent.createKernel(more, never);
});

Deno.test("RestoreKernels takes up a kernel with slots that the agent no longer has, and says so", async () => {
  const { next } = await makeRestarted({ cores: 2 }, new Map([["cpu", 4n * COUNT], ["mem", GIB]]));
  assert.equal(await restore(next), 1);
  assert.equal(next.ledger.free("cpu"), 0n);
  assert.equal(next.log.messages("warn").length, 1);
});

Deno.test("[04-D22] RestoreKernels tells once of a kernel that ended meanwhile, with its exit code, and cleans up", async () => {
  const { before, next, containerId } = await makeRestarted();
  before.fakes.runtime.die(containerId, 3);
  assert.equal(await restore(next), 0);
  await next.observer.reconcile(never);
  await settle();
  assertNothingHeld(next);
  assert.deepEqual(next.told, [`${ENDED} 3`]);
});

Deno.test("[04-D22] RestoreKernels ends a dead kernel that the engine tells nothing more about", async () => {
  const { before, next, containerId } = await makeRestarted({
    faults: { runtime: { inspect: [new RuntimeFailed("inspect", 500, "")] } },
  });
  before.fakes.runtime.die(containerId, 3);
  await restore(next);
  await next.observer.reconcile(never);
  await settle();
  assertNothingHeld(next);
  assert.deepEqual(next.told, [`${ENDED} 3`]);
});

Deno.test("[04-D22] RestoreKernels ends a kernel whose container is removed while it looks, without a complaint", async () => {
  const { before, next, containerId } = await makeRestarted();
  before.fakes.runtime.die(containerId, 3);
  next.steps.before = (step) => {
    if (step === "runtime.inspect") next.world.engine.containers.delete(containerId);
  };
  assert.equal(await restore(next), 0);
  assertNothingHeld(next);
  assert.deepEqual(next.told, [`${ENDED} null`]);
  assert.deepEqual(next.log.messages("error"), []);
});

Deno.test("RestoreKernels undoes a kernel that was half created", async () => {
  for (const stage of ["created", "without record"]) {
    const { next, containerId } = await makeRestarted();
    const container = next.world.engine.containers.get(containerId);
    assert.ok(container);
    if (stage === "created") container.status = "created";
    else delete next.world.scratches.get(KERNEL)?.record;
    assert.equal(await restore(next), 0);
    assertNothingHeld(next);
    assert.deepEqual(next.told, [`${ENDED} null`], stage);
  }
});

Deno.test("[04-D21] RestoreKernels removes a container that is not the one in the record", async () => {
  const { next, containerId } = await makeRestarted();
  const container = next.world.engine.containers.get(containerId);
  assert.ok(container);
  next.world.engine.containers.delete(containerId);
  const id = next.world.engine.nextId();
  next.world.engine.containers.set(id, { ...container, id });
  assert.equal(await restore(next), 0);
  assertNothingHeld(next);
  assert.deepEqual(next.told, [`${ENDED} null`]);
});

Deno.test("[04-D21] RestoreKernels removes a second container of a kernel, and leaves the kernel alone", async () => {
  const { before, next, containerId } = await makeRestarted();
  await addTwin(before);
  assert.equal(await restore(next), 1);
  assert.deepEqual([...next.world.engine.containers.keys()], [containerId]);
  assert.ok(next.world.scratches.get(KERNEL)?.record);
  assert.deepEqual(next.told, []);
});

Deno.test("[04-D22] RestoreKernels removes a scratch directory without a container, and tells the kernel's end once", async () => {
  const { next } = await makeRestarted();
  next.world.engine.containers.clear();
  assert.equal(await restore(next), 0);
  await now(next.agent.destroyKernel(KERNEL, "user-requested", never));
  await settle();
  assertNothingHeld(next);
  assert.deepEqual(next.told, [`${ENDED} null`]);
});

Deno.test("RestoreKernels goes on when a scratch directory cannot be removed", async () => {
  const { next } = await makeRestarted({ faults: { scratch: { remove: [new Error("busy")] } } });
  next.world.engine.containers.clear();
  await restore(next);
  assert.deepEqual(next.told, [`${ENDED} null`]);
  assert.equal(next.log.messages("error").length, 1);
});

for (const step of ["scratch.readRecord", "channels.open", "runtime.remove"]) {
  Deno.test(`[04-D21] a kernel whose restoration fails at ${step} ends, is told, and keeps no other`, async () => {
    const world = new World();
    const before = makeAgent({ world });
    await before.agent.createKernel(kernelRequest(), never);
    await before.agent.createKernel(kernelRequest({ kernelId: kernelId(2) }), never);
    if (step === "runtime.remove") delete world.scratches.get(KERNEL)?.record;
    const next = makeAgent({ world });
    let failed = false;
    next.steps.before = (current) => {
      if (current !== step || failed) return;
      failed = true;
      throw new Error("boom");
    };
    assert.equal(await restore(next), 1);
    await next.observer.reconcile(never);
    await settle();
    assert.deepEqual(next.table.all().map(({ id, running }) => [id, running]), [[kernelId(2), true]]);
    assert.deepEqual(next.told, [`${ENDED} null`]);
    assert.deepEqual([next.ports.free, next.ledger.free("cpu")], [93, 2n * COUNT]);
    assert.deepEqual([world.engine.containers.size, world.scratches.size, next.openChannels.ports.size], [1, 1, 1]);
  });
}

Deno.test("RestoreKernels fails as a whole when it cannot see the containers, and changes nothing", async () => {
  const { next } = await makeRestarted();
  next.world.engine.reachable = false;
  await assert.rejects(next.restorer.execute(never), RuntimeUnavailable);
  assert.deepEqual([next.world.scratches.size, next.told], [1, []]);
});

Deno.test("RestoreKernels ends with its signal", async () => {
  const { next } = await makeRestarted();
  const stop = new AbortController();
  next.steps.before = (step) => {
    if (step === "scratch.readRecord") stop.abort(new Error("enough"));
  };
  next.fakes.scratch.readRecord = () => Promise.reject(new Error("boom"));
  await assert.rejects(next.restorer.execute(stop.signal), /enough/);
  assert.equal(next.world.scratches.size, 1);
});

Deno.test("RestoreKernels leaves the containers of other agents alone", async () => {
  const { next, containerId } = await makeRestarted();
  const container = next.world.engine.containers.get(containerId);
  assert.ok(container);
  const id = next.world.engine.nextId();
  const other = { ...container, id, agentId: "i-other" as typeof container.agentId }; // a valid agent id
  next.world.engine.containers.set(id, other);
  await restore(next);
  await next.observer.reconcile(never);
  assert.equal(next.world.engine.containers.get(id), other);
});

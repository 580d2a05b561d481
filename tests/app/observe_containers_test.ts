import assert from "node:assert/strict";
import { RuntimeFailed, RuntimeUnavailable } from "../../domain/errors.ts";
import { parseContainerId } from "../../domain/ids.ts";
import { KERNEL, kernelId, kernelRequest, never } from "./kernel_request.ts";
import { assertNothingHeld, following, holdings, makeAgent, now, settle, type TestAgent } from "./make_agent.ts";

const CREATED = ["kernel_preparing", "kernel_creating", "kernel_started"];
const ENDED = "kernel_terminated self-terminated";

/** A container with this agent's label that no kernel knows. */
async function strayContainer({ fakes, world }: TestAgent, owner = kernelId(9)) {
  const [known] = world.engine.containers.values();
  assert.ok(known);
  const name = `stray.${world.engine.containers.size}`;
  const labels = new Map([["ai.backend.kernel-id", owner]]);
  const spec = { ...known.spec, kernelId: owner, name, labels, ports: [] };
  const id = await fakes.runtime.create(spec, never);
  await fakes.runtime.start(id, never);
  return id;
}

async function makeRunning() {
  const test = makeAgent();
  const { containerId } = await test.agent.createKernel(kernelRequest(), never);
  await settle();
  return { test, containerId };
}

Deno.test("[04-D23] ObserveContainers connects again when the event stream is lost", async () => {
  const { test, containerId } = await makeRunning();
  await using _loop = await following(test);
  test.fakes.runtime.endWatches();
  await test.clock.advance(200);
  test.fakes.runtime.die(containerId, 3);
  await settle();
  assert.deepEqual(test.told, [...CREATED, `${ENDED} 3`]);
});

Deno.test("[04-D23] ObserveContainers finds a death that happened while the stream was lost", async () => {
  const { test, containerId } = await makeRunning();
  await using _loop = await following(test);
  test.fakes.runtime.endWatches();
  await settle();
  test.fakes.runtime.die(containerId, 3);
  await test.clock.advance(200);
  assertNothingHeld(test);
  assert.deepEqual(test.told, [...CREATED, `${ENDED} 3`]);
});

Deno.test("[04-D23] ObserveContainers survives an engine that is out for long", async () => {
  const { test, containerId } = await makeRunning();
  await using _loop = await following(test);
  test.world.engine.reachable = false;
  test.fakes.runtime.endWatches();
  await test.clock.advance(120_000);
  assert.ok(test.table.running(KERNEL), "an engine that is out has not ended its kernels");
  test.world.engine.reachable = true;
  test.fakes.runtime.die(containerId, 3);
  await test.clock.advance(10_000);
  assertNothingHeld(test);
});

Deno.test("ObserveContainers connects again soon after a loss, however long the one before lasted", async () => {
  const { test, containerId } = await makeRunning();
  await using _loop = await following(test);
  test.world.engine.reachable = false;
  test.fakes.runtime.endWatches();
  await test.clock.advance(120_000);
  test.world.engine.reachable = true;
  await test.clock.advance(10_000);
  test.fakes.runtime.endWatches();
  await test.clock.advance(200);
  test.fakes.runtime.die(containerId, 3);
  await settle();
  assertNothingHeld(test);
});

Deno.test("[04-D23] ObserveContainers goes on when the comparison at its connection fails", async () => {
  const { test, containerId } = await makeRunning();
  test.fakes.runtime.faults.add("list", new RuntimeFailed("list", 500, "busy"));
  await using _loop = await following(test);
  test.fakes.runtime.die(containerId, 3);
  await settle();
  assertNothingHeld(test);
});

Deno.test("ObserveContainers ends with its signal, in the middle of a stream or of a pause", async () => {
  const test = makeAgent();
  await now((await following(test))[Symbol.asyncDispose]());
  test.fakes.runtime.faults.add("watch", new RuntimeUnavailable("fake"));
  await now((await following(test))[Symbol.asyncDispose]());
  assert.equal(test.clock.sleepers, 0);
});

Deno.test("ObserveContainers takes no notice of containers that are not its kernels'", async () => {
  const { test } = await makeRunning();
  await using _loop = await following(test);
  const stray = await strayContainer(test, KERNEL);
  test.fakes.runtime.die(stray, 1);
  await settle();
  assert.ok(test.table.running(KERNEL));
});

Deno.test("reconcile() ends a kernel whose container has died or vanished unheard", async () => {
  for (const vanish of [false, true]) {
    const { test, containerId } = await makeRunning();
    test.fakes.runtime.die(containerId, 3);
    if (vanish) test.world.engine.containers.delete(containerId);
    await test.observer.reconcile(never);
    await settle();
    assertNothingHeld(test);
    assert.deepEqual(test.told, [...CREATED, `${ENDED} ${vanish ? "null" : "3"}`]);
  }
});

Deno.test("reconcile() leaves kernels alone that run", async () => {
  const { test } = await makeRunning();
  const before = holdings(test);
  await test.observer.reconcile(never);
  await settle();
  assert.deepEqual(holdings(test), before);
});

Deno.test("reconcile() ends no kernel when it cannot see the containers", async () => {
  const { test } = await makeRunning();
  test.world.engine.reachable = false;
  await assert.rejects(test.observer.reconcile(never), RuntimeUnavailable);
  assert.ok(test.table.running(KERNEL));
});

Deno.test("reconcile() removes containers that belong to no kernel", async () => {
  const { test } = await makeRunning();
  await strayContainer(test);
  await test.observer.reconcile(never);
  assert.equal(test.world.engine.containers.size, 1);
  assert.ok(test.table.running(KERNEL));
});

Deno.test("reconcile() removes a container of a running kernel's id that is not its own", async () => {
  const { test, containerId } = await makeRunning();
  await strayContainer(test, KERNEL);
  await test.observer.reconcile(never);
  assert.deepEqual([...test.world.engine.containers.keys()], [containerId]);
  assert.ok(test.table.running(KERNEL));
});

Deno.test("reconcile() removes the containers that it can when one cannot be removed", async () => {
  const { test } = await makeRunning();
  await strayContainer(test);
  await strayContainer(test, kernelId(10));
  test.fakes.runtime.faults.add("remove", new RuntimeFailed("remove", 500, "busy"));
  await test.observer.reconcile(never).catch(() => {});
  assert.equal(test.world.engine.containers.size, 2);
  await test.observer.reconcile(never);
  assert.equal(test.world.engine.containers.size, 1);
});

Deno.test("reconcile() never touches a kernel in creation, at whatever step it is", async () => {
  const first = makeAgent();
  await first.agent.createKernel(kernelRequest(), never);
  const moments = first.steps.taken.findLastIndex((step) => step === "sink.publish") + 1;
  for (let moment = 0; moment < moments; moment++) {
    const test = makeAgent();
    let reconciled: Promise<void> | undefined;
    test.steps.before = (_, index) => {
      if (index === moment) reconciled = test.observer.reconcile(never);
    };
    await test.agent.createKernel(kernelRequest(), never);
    await now(reconciled ?? Promise.reject(new Error("not reached")));
    await settle();
    assert.ok(test.table.running(KERNEL), `step ${moment}`);
  }
});

Deno.test("reconcile() takes no kernel for dead that came to be while the engine was listing", async () => {
  const test = makeAgent();
  const listed = Promise.withResolvers<void>();
  const list = test.fakes.runtime.list.bind(test.fakes.runtime);
  test.fakes.runtime.list = (signal) => list(signal).then((containers) => listed.promise.then(() => containers));
  const creation = test.agent.createKernel(kernelRequest(), never);
  const reconciled = test.observer.reconcile(never);
  await creation;
  listed.resolve();
  await now(reconciled);
  assert.ok(test.table.running(KERNEL));
});

Deno.test("reconcile() never disturbs the end of a kernel, at whatever step it is", async () => {
  for (let moment = 0; moment < 7; moment++) {
    const { test } = await makeRunning();
    const begin = test.steps.taken.length;
    let reconciled: Promise<void> | undefined;
    test.steps.before = (_, index) => {
      if (index === begin + moment) reconciled = test.observer.reconcile(never);
    };
    await now(test.agent.destroyKernel(KERNEL, "user-requested", never));
    await settle();
    await now(reconciled ?? Promise.reject(new Error("not reached")));
    await settle();
    assertNothingHeld(test);
    assert.deepEqual(test.told, [...CREATED, "kernel_terminated user-requested 137"], `step ${moment}`);
  }
});

Deno.test("a death notice of an unknown container changes nothing", async () => {
  const { test } = await makeRunning();
  const kernel = test.table.running(KERNEL);
  test.ender.containerGone(kernel, { id: parseContainerId("f".repeat(64)), exitCode: 1 });
  await settle();
  assert.ok(kernel.running);
});

import assert from "node:assert/strict";
import { AgentStopping, ConfigStoreUnavailable } from "../../domain/errors.ts";
import { KERNEL, kernelId, kernelRequest, never, PYTHON } from "./kernel_request.ts";
import { type AgentOptions, assertNothingHeld, makeAgent, now, settle, type TestAgent, World } from "./make_agent.ts";

const boom = new Error("boom");

async function start(test: TestAgent): Promise<void> {
  await now(test.runAgent.start(never));
  await settle();
}

/** Stops the agent, letting as much time go by as it needs. */
async function stop(test: TestAgent, endKernels: boolean): Promise<void> {
  let stopped = false;
  const stopping = test.runAgent.stop({ endKernels }).then(() => stopped = true);
  for (let seconds = 0; seconds < 30 && !stopped; seconds++) {
    await settle();
    if (!stopped) await test.clock.advance(1_000);
  }
  await now(stopping);
  assert.equal(test.clock.sleepers, 0, "nothing goes on");
}

async function makeStarted(options: AgentOptions = {}) {
  const test = makeAgent(options);
  await start(test);
  return test;
}

function nodeStatus({ fakes }: TestAgent): string | undefined {
  return fakes.config.values.global.get("nodes/agents/i-test/");
}

Deno.test("[02-D5] RunAgent takes its address, looks around, serves calls, sends a heartbeat, then tells that it has started", async () => {
  const test = makeAgent();
  await test.runAgent.start(never);
  const order = ["inbound.bind", "runtime.list", "inbound.serve", "sink.heartbeat", "config.put", "sink.publish"];
  const first = order.map((step) => test.steps.taken.indexOf(step));
  assert.ok(!first.includes(-1));
  assert.deepEqual(first, first.toSorted((a, b) => a - b));
  assert.deepEqual(test.told, ["instance_started"]);
  await stop(test, false);
});

Deno.test("[03-4] RunAgent announces its address, its watcher and that it runs, and withdraws at the end", async () => {
  const test = await makeStarted();
  assert.deepEqual(Object.fromEntries(test.fakes.config.values.global), {
    "nodes/agents/i-test/ip": "10.0.0.7",
    "nodes/agents/i-test/watcher_port": "6009",
    "nodes/agents/i-test/": "running",
  });
  await stop(test, false);
  assert.equal(nodeStatus(test), "terminated");
});

Deno.test("RunAgent has the kernels, the images and the network when the first call comes in", async () => {
  const before = makeAgent();
  await before.agent.createKernel(kernelRequest(), never);
  const test = makeAgent({ world: before.world });
  let found: unknown;
  test.steps.before = (step) => {
    const { engine } = test.world;
    if (step === "inbound.serve") {
      found = [test.table.all().length, test.kernelImages.local.length, engine.networks.size];
    }
  };
  await start(test);
  assert.deepEqual(found, [1, 1, 1]);
  await stop(test, false);
});

const START_STEPS = [
  "inbound.bind",
  "runtime.list",
  "images.listKernelImages",
  "runtime.ensureNetwork",
  "inbound.serve",
  "sink.heartbeat",
  "config.put",
  "sink.publish",
];
for (const failing of START_STEPS) {
  Deno.test(`RunAgent.start() leaves nothing running when ${failing} fails, and the kernels as they are`, async () => {
    const before = makeAgent();
    await before.agent.createKernel(kernelRequest(), never);
    const test = makeAgent({ world: before.world });
    test.steps.before = (step) => {
      if (step === failing) throw boom;
    };
    await assert.rejects(test.runAgent.start(never), (error) => error === boom || (error as Error).cause === boom);
    await settle();
    assert.equal(test.clock.sleepers, 0, "nothing goes on");
    assert.equal(test.openChannels.ports.size, 0);
    assert.notEqual(test.fakes.inbound.state, "open");
    assert.deepEqual([...test.world.engine.containers.values()].map(({ status }) => status), ["running"]);
    assert.deepEqual([test.world.scratches.size, test.told], [1, []]);
  });
}

Deno.test("RunAgent.start() gives up an engine that does not answer, and can be interrupted", async () => {
  for (const interrupt of [false, true]) {
    const test = makeAgent();
    test.fakes.runtime.list = () => new Promise(() => {});
    const caller = new AbortController();
    const expected = interrupt ? boom : { code: "start_failed" };
    const failed = assert.rejects(test.runAgent.start(caller.signal), expected);
    await settle();
    if (interrupt) caller.abort(boom);
    else await test.clock.advance(30_000);
    await now(failed);
  }
});

Deno.test("[02-4] RunAgent sends a heartbeat every 3 s, counted from the first", async () => {
  const test = await makeStarted();
  await test.clock.advance(2_999);
  assert.equal(test.fakes.sink.heartbeats.length, 1);
  await test.clock.advance(6_001);
  assert.equal(test.fakes.sink.heartbeats.length, 4);
  await stop(test, false);
});

Deno.test("[02-D8] a store that stalls delays no heartbeat: each is given up before the next", async () => {
  const test = await makeStarted();
  const { sink } = test.fakes;
  const begun: number[] = [];
  sink.heartbeat = (_, signal) => {
    begun.push(test.clock.monotonic());
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  await test.clock.advance(9_500);
  assert.deepEqual(begun, [3_000, 6_000, 9_000]);
  await stop(test, false);
});

Deno.test("heartbeats go on every 3 s while the configuration store and the engine are out", async () => {
  const test = await makeStarted();
  test.fakes.config.reachable = false;
  test.world.engine.reachable = false;
  await test.clock.advance(60_000);
  assert.equal(test.fakes.sink.heartbeats.length, 21);
  await stop(test, false);
});

Deno.test("kernels are created and end while the configuration store is out", async () => {
  const test = await makeStarted();
  test.fakes.config.reachable = false;
  await test.agent.createKernel(kernelRequest(), never);
  await now(test.agent.destroyKernel(KERNEL, "user-requested", never));
  await settle();
  assert.equal(test.told.at(-1), "kernel_terminated user-requested 137");
  await stop(test, false);
});

Deno.test("[02-4] a heartbeat tells address, slots and images of the last scan, each minute anew", async () => {
  const test = await makeStarted();
  const other = { ...PYTHON, id: PYTHON.id.replaceAll("a", "c") as typeof PYTHON.id, tags: ["lablup/r:4"] }; // 64 hex digits
  test.world.images.add(other);
  await test.clock.advance(59_000);
  const [first] = test.fakes.sink.heartbeats;
  assert.deepEqual(first?.images, [{ tag: PYTHON.tags[0], id: PYTHON.id }]);
  assert.deepEqual([first.host, first.port, first.slots.get("cpu")], ["10.0.0.7", 6001, {
    unit: "count",
    amount: 3_000_000n,
  }]);
  assert.deepEqual(test.fakes.sink.heartbeats.at(-1)?.images, first.images);
  await test.clock.advance(5_000);
  assert.deepEqual(
    test.fakes.sink.heartbeats.at(-1)?.images.map(({ tag }) => tag).sort(),
    [...other.tags, ...PYTHON.tags].sort(),
  );
  await stop(test, false);
});

Deno.test("RunAgent stores statistics, ends idle kernels, hears of deaths and compares every 30 s", async () => {
  const test = await makeStarted();
  const { containerId } = await test.agent.createKernel(kernelRequest({ idleTimeoutS: 60 }), never);
  await test.agent.createKernel(kernelRequest({ kernelId: kernelId(2), idleTimeoutS: 0 }), never);
  await test.clock.advance(4_000);
  assert.ok(test.fakes.store.node && test.fakes.store.kernel(KERNEL));
  await test.clock.advance(60_000);
  assert.equal(test.told.at(-1), "kernel_terminated idle-timeout 137");
  const left = [...test.world.engine.containers.keys()];
  assert.ok(left.length === 1 && !left.includes(containerId));
  test.world.engine.watchers.clear(); // the stream is open, but says nothing any more
  test.fakes.runtime.die(left[0] ?? containerId, 3);
  await test.clock.advance(30_000);
  assert.equal(test.told.at(-1), "kernel_terminated self-terminated 3");
  await stop(test, false);
});

Deno.test("one kernel whose runner takes nothing does not keep the others from being looked after", async () => {
  const test = await makeStarted();
  const first = await test.agent.createKernel(kernelRequest(), never);
  const second = await test.agent.createKernel(kernelRequest({ kernelId: kernelId(2) }), never);
  const runnerOf = (port: number) => test.world.runners.runner({ commandPort: port });
  runnerOf(first.replInPort).stop();
  const code = "x".repeat(17 * 2 ** 20); // more than may wait for a runner
  const request = {
    kernelId: KERNEL,
    runId: null,
    apiVersion: 3,
    mode: "query",
    options: {},
    flushTimeoutMs: 0,
  } as const;
  await now(test.agent.execute({ ...request, code }, never));
  await test.clock.advance(10_000);
  assert.deepEqual(runnerOf(second.replInPort).commands, [{ kind: "status" }]);
  await stop(test, false);
});

Deno.test("[04-18] stop() on SIGINT leaves the kernels to the next process", async () => {
  const test = await makeStarted();
  await test.agent.createKernel(kernelRequest(), never);
  await stop(test, false);
  assert.deepEqual([...test.world.engine.containers.values()].map(({ status }) => status), ["running"]);
  assert.equal(test.openChannels.ports.size, 0);
  assert.equal(test.fakes.inbound.state, "closed");
  assert.deepEqual([test.told.at(-1), test.told.length], ["instance_terminated", 5]);
  const next = await makeStarted({ world: test.world });
  assert.ok(next.table.running(KERNEL));
  await stop(next, false);
});

Deno.test("[04-18] stop() on SIGTERM ends the kernels, then tells that the agent has ended", async () => {
  const test = await makeStarted();
  await test.agent.createKernel(kernelRequest(), never);
  await test.agent.createKernel(kernelRequest({ kernelId: kernelId(2) }), never);
  await stop(test, true);
  assertNothingHeld(test);
  assert.equal(test.world.engine.networks.size, 0);
  assert.deepEqual(test.told.slice(-3), [
    "kernel_terminated agent-termination 137",
    "kernel_terminated agent-termination 137",
    "instance_terminated",
  ]);
});

Deno.test("stop() removes the private network unless kernels live on in it; a failure is no more than a warning", async () => {
  for (const [kernels, error, networks] of [[0, undefined, 0], [1, undefined, 1], [0, boom, 1]] as const) {
    const test = await makeStarted({ faults: { runtime: { removeNetwork: [error] } } });
    if (kernels > 0) await test.agent.createKernel(kernelRequest(), never);
    await stop(test, false);
    assert.equal(test.world.engine.networks.size, networks);
    assert.deepEqual([test.log.messages("error"), test.told.at(-1)], [[], "instance_terminated"]);
  }
});

Deno.test("stop() takes no calls any more before it does anything else", async () => {
  const test = await makeStarted();
  await test.agent.createKernel(kernelRequest(), never);
  const begin = test.steps.taken.length;
  await stop(test, true);
  assert.equal(test.steps.taken[begin], "inbound.close");
});

Deno.test("stop() undoes creations under way", async () => {
  for (const endKernels of [false, true]) {
    const test = await makeStarted();
    let stopped: Promise<void> | undefined;
    test.steps.before = (step) => {
      if (step === "runtime.start") stopped = stop(test, endKernels);
    };
    await assert.rejects(test.agent.createKernel(kernelRequest(), never), AgentStopping);
    await stopped;
    assertNothingHeld(test);
    assert.equal(test.told.at(-1), "instance_terminated");
  }
});

Deno.test("stop() waits for kernels that are ending", async () => {
  const test = await makeStarted({ faults: { runtime: { remove: [boom, boom] } } });
  await test.agent.createKernel(kernelRequest(), never);
  await now(test.agent.destroyKernel(KERNEL, "user-requested", never));
  await stop(test, false);
  assertNothingHeld(test);
  assert.deepEqual(test.told.slice(-2), ["kernel_terminated user-requested 137", "instance_terminated"]);
});

Deno.test("[02-6] there is no heartbeat after the agent's end was told", async () => {
  const test = await makeStarted();
  let heartbeats = 0;
  test.steps.before = (step) => {
    if (step === "sink.publish") heartbeats = test.fakes.sink.heartbeats.length;
  };
  await stop(test, false);
  await test.clock.advance(60_000);
  assert.equal(test.fakes.sink.heartbeats.length, heartbeats);
});

Deno.test("[04-D41] stop() ends within 30 s, and tells so, although the kernels cannot be ended", async () => {
  const test = await makeStarted();
  await test.agent.createKernel(kernelRequest(), never);
  test.world.engine.reachable = false;
  const begin = test.clock.monotonic();
  await stop(test, true);
  assert.ok(test.clock.monotonic() - begin <= 30_000);
  assert.equal(test.told.at(-1), "instance_terminated");
  assert.equal(nodeStatus(test), "terminated");
  assert.ok(test.log.messages("error").length > 0);
  const next = await makeStarted({ world: reachable(test.world) });
  assert.ok(next.table.running(KERNEL), "the next start takes the kernel up");
  await stop(next, true);
});

Deno.test("[04-D41] stop() ends within 30 s although the store takes no event, and logs what was not told", async () => {
  const test = await makeStarted();
  await test.agent.createKernel(kernelRequest(), never);
  test.fakes.sink.reachable = false;
  const begin = test.clock.monotonic();
  await stop(test, true);
  assert.ok(test.clock.monotonic() - begin <= 30_000);
  const lost = test.log.entries.filter(({ message }) => message.startsWith("event not delivered:"));
  assert.deepEqual(lost.map(({ fields }) => (fields["event"] as { kind: string }).kind), [
    "kernel_terminated",
    "instance_terminated",
  ]);
});

Deno.test("[02-D1] the end of a kernel that could not be told before the agent ended is told by the next one, once", async () => {
  const test = await makeStarted();
  await test.agent.createKernel(kernelRequest(), never);
  test.fakes.sink.reachable = false;
  await stop(test, true);
  assert.equal(test.world.engine.containers.size, 0);
  assert.deepEqual([...test.world.scratches.values()].map(({ cleared }) => cleared), [true]);

  const next = await makeStarted({ world: test.world });
  assert.deepEqual(next.told.filter((it) => it.startsWith("kernel_terminated")), [
    "kernel_terminated self-terminated null",
  ]);
  assertNothingHeld(next);
  await stop(next, true);
});

Deno.test("stop() does not depend on the configuration store", async () => {
  const test = await makeStarted();
  test.fakes.config.faults.add("put", new ConfigStoreUnavailable("put"));
  await stop(test, false);
  assert.deepEqual(test.told, ["instance_started", "instance_terminated"]);
  assert.deepEqual(test.log.messages("error"), []);
});

/** The engine is back. */
function reachable(world: World): World {
  world.engine.reachable = true;
  return world;
}

import assert from "node:assert/strict";
import { ContainerNotFound, ImageNotFound, RuntimeFailed, RuntimeUnavailable } from "../../domain/errors.ts";
import { type ContainerId, type ImageId, parseContainerId, parseImageId, parseKernelId } from "../../domain/ids.ts";
import type { ContainerDeath, ContainerRuntime, ContainerSpec } from "../../src/ports/container_runtime.ts";
import { type ContractCase, registerContract, within } from "./contract_case.ts";

export interface ContainerRuntimeHarness extends AsyncDisposable {
  readonly runtime: ContainerRuntime;
  /** The runtime of another agent on the same engine. */
  readonly stranger: ContainerRuntime;
  /** A runtime whose engine is not there. */
  readonly unreachable: ContainerRuntime;
  /** The runtime of the same agent over a connection that `cut` can break. */
  readonly breakable: { readonly runtime: ContainerRuntime; cut(): void };
  readonly imageId: ImageId;
  /** What a container of `imageId` can be told to do. */
  readonly commands: {
    wait(): readonly string[];
    exit(code: number): readonly string[];
    /** Writes to the console, then waits. */
    print(output: Uint8Array): readonly string[];
  };
  /** Whether the agent's network exists. */
  hasNetwork(): Promise<boolean>;
  /** Somebody removes the agent's network. */
  dropNetwork(): Promise<void>;
  /** A free TCP port of the host. */
  freePort(): number;
}

export function containerRuntimeContract(
  name: string,
  make: () => Promise<ContainerRuntimeHarness>,
  options?: { ignore?: boolean },
): void {
  registerContract(CONTAINER_RUNTIME_CASES, name, make, options);
}

/** Longest wait for something that an engine does. */
const LIMIT_MS = 30_000;
const signal = new AbortController().signal;
const reason = new Error("the caller lost interest");
const absentId = parseContainerId("0123456789abcdef".repeat(4));
const absentImage = parseImageId(`sha256:${"0123456789abcdef".repeat(4)}`);

function specOf(harness: ContainerRuntimeHarness, overrides: Partial<ContainerSpec> = {}): ContainerSpec {
  const kernelId = overrides.kernelId ?? parseKernelId(crypto.randomUUID());
  return {
    kernelId,
    name: `kernel.contract.${kernelId}`,
    imageId: harness.imageId,
    command: harness.commands.wait(),
    workdir: "/",
    uid: 1000,
    gid: 1000,
    environ: new Map([["GREETING", "hello"]]),
    labels: new Map([["ai.backend.kernel-id", kernelId]]),
    mounts: [],
    ports: [],
    cores: [0],
    cpuQuota: 1,
    memoryBytes: 64n * 1024n * 1024n,
    shmemBytes: 0n,
    pidsLimit: 64,
    ...overrides,
  };
}

async function created(harness: ContainerRuntimeHarness, overrides?: Partial<ContainerSpec>): Promise<ContainerId> {
  return await harness.runtime.create(specOf(harness, overrides), signal);
}

async function started(harness: ContainerRuntimeHarness, overrides?: Partial<ContainerSpec>): Promise<ContainerId> {
  const id = await created(harness, overrides);
  await harness.runtime.start(id, signal);
  return id;
}

async function dead(harness: ContainerRuntimeHarness, exitCode: number): Promise<ContainerId> {
  const id = await started(harness, { command: harness.commands.exit(exitCode) });
  await eventually(async () => (await harness.runtime.inspect(id, signal)).status === "dead");
  return id;
}

/** Waits until `check` holds, looking again as soon as the engine has answered. */
async function eventually(check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!await check()) {
    if (Date.now() > deadline) throw new Error(`not so within ${LIMIT_MS} ms: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function everyMethod(
  runtime: ContainerRuntime,
  spec: ContainerSpec,
  signal: AbortSignal,
): [string, () => Promise<unknown>][] {
  return [
    ["facts", () => runtime.facts(signal)],
    ["ensureNetwork", () => runtime.ensureNetwork(signal)],
    ["removeNetwork", () => runtime.removeNetwork(signal)],
    ["create", () => runtime.create(spec, signal)],
    ["start", () => runtime.start(absentId, signal)],
    ["kill", () => runtime.kill(absentId, signal)],
    ["remove", () => runtime.remove(absentId, signal)],
    ["inspect", () => runtime.inspect(absentId, signal)],
    ["list", () => runtime.list(signal)],
    ["logs", () => runtime.logs(absentId, 100, signal)],
    ["watch", () => Array.fromAsync(runtime.watch(() => {}, signal))],
  ];
}

/** A watch that is ready. `next` gives one death after the other; disposal ends it. */
async function watching(runtime: ContainerRuntime): Promise<AsyncDisposable & { next(): Promise<ContainerDeath> }> {
  const ready = Promise.withResolvers<void>();
  const abort = new AbortController();
  const deaths = runtime.watch(ready.resolve, abort.signal)[Symbol.asyncIterator]();
  let pending = deaths.next();
  pending.catch(ready.reject); // it fails before it is ready
  await within(LIMIT_MS, ready.promise);
  return {
    async next() {
      const { value, done } = await within(LIMIT_MS, pending);
      assert(!done, "watch() ended without throwing");
      pending = deaths.next();
      pending.catch(() => {}); // looked at by the next call, if there is one
      return value;
    },
    async [Symbol.asyncDispose]() {
      abort.abort(reason);
      await assert.rejects(within(LIMIT_MS, pending), reason);
    },
  };
}

const GENERAL_CASES: readonly ContractCase<ContainerRuntimeHarness>[] = [
  {
    name: "every method throws RuntimeUnavailable if the engine cannot be reached",
    async run(make) {
      await using harness = await make();
      for (const [method, call] of everyMethod(harness.unreachable, specOf(harness), signal)) {
        await assert.rejects(within(LIMIT_MS, call()), RuntimeUnavailable, method);
      }
    },
  },
  {
    name: "every method throws signal.reason once the signal is aborted",
    async run(make) {
      await using harness = await make();
      for (const [method, call] of everyMethod(harness.runtime, specOf(harness), AbortSignal.abort(reason))) {
        await assert.rejects(within(LIMIT_MS, call()), (error) => error === reason, method);
      }
      assert.deepEqual(await harness.runtime.list(signal), []);
    },
  },
  {
    name: "a method throws RuntimeFailed with the engine's words if it refuses",
    async run(make) {
      await using harness = await make();
      const spec = specOf(harness);
      await harness.runtime.create(spec, signal);
      await assert.rejects(harness.runtime.create(spec, signal), (error) => {
        return error instanceof RuntimeFailed && error.status === 409 && /name.*already in use/.test(error.message);
      });
    },
  },
  {
    name: "calls on different kernels may run at the same time",
    async run(make) {
      await using harness = await make();
      await Promise.all([1, 2, 3].map(async () => {
        const id = await started(harness);
        assert.equal((await harness.runtime.inspect(id, signal)).status, "running");
        await harness.runtime.remove(id, signal);
      }));
      assert.deepEqual(await harness.runtime.list(signal), []);
    },
  },
  {
    name: "facts() gives the engine's version, its cores and its memory",
    async run(make) {
      await using harness = await make();
      const { version, cores, memoryBytes } = await harness.runtime.facts(signal);
      assert.match(version, /^\d+\.\d+/);
      assert(Number.isInteger(cores) && cores >= 1);
      assert(memoryBytes >= 64n * 1024n * 1024n);
    },
  },
];

const NETWORK_CASES: readonly ContractCase<ContainerRuntimeHarness>[] = [
  {
    name: "ensureNetwork() makes the network exist",
    async run(make) {
      await using harness = await make();
      assert.equal(await harness.hasNetwork(), false);
      await harness.runtime.ensureNetwork(signal);
      assert.equal(await harness.hasNetwork(), true);
    },
  },
  {
    name: "ensureNetwork() is idempotent, also when called several times at once",
    async run(make) {
      await using harness = await make();
      await Promise.all([1, 2, 3, 4, 5, 6].map(() => harness.runtime.ensureNetwork(signal)));
      await harness.runtime.ensureNetwork(signal);
      assert.equal(await harness.hasNetwork(), true);
      await started(harness); // an engine with two networks of that name would refuse
    },
  },
  {
    name: "removeNetwork() removes the network",
    async run(make) {
      await using harness = await make();
      await harness.runtime.ensureNetwork(signal);
      await harness.runtime.removeNetwork(signal);
      assert.equal(await harness.hasNetwork(), false);
    },
  },
  {
    name: "removeNetwork() of an absent network is not an error",
    async run(make) {
      await using harness = await make();
      await harness.runtime.removeNetwork(signal);
    },
  },
  {
    name: "removeNetwork() does nothing while a container uses the network, started or not",
    async run(make) {
      await using harness = await make();
      await harness.runtime.ensureNetwork(signal);
      const id = await created(harness);
      await harness.runtime.removeNetwork(signal);
      assert.equal(await harness.hasNetwork(), true);
      await harness.runtime.start(id, signal);
      await harness.runtime.removeNetwork(signal);
      assert.equal(await harness.hasNetwork(), true);
    },
  },
  {
    name: "start() makes the network again should somebody have removed it",
    async run(make) {
      await using harness = await make();
      await harness.runtime.ensureNetwork(signal);
      const id = await created(harness);
      await harness.dropNetwork();
      await harness.runtime.start(id, signal);
      assert.equal((await harness.runtime.inspect(id, signal)).status, "running");
      assert.equal(await harness.hasNetwork(), true);
    },
  },
];

const LIFE_CASES: readonly ContractCase<ContainerRuntimeHarness>[] = [
  {
    name: "create() creates a stopped container",
    async run(make) {
      await using harness = await make();
      const spec = specOf(harness);
      const id = await harness.runtime.create(spec, signal);
      assert.deepEqual(await harness.runtime.inspect(id, signal), {
        id,
        kernelId: spec.kernelId,
        status: "created",
        exitCode: null,
        hostPorts: new Map(),
      });
    },
  },
  {
    name: "create() throws ImageNotFound if the image is not on this host",
    async run(make) {
      await using harness = await make();
      await assert.rejects(created(harness, { imageId: absentImage }), ImageNotFound);
    },
  },
  {
    name: "create() leaves no container if it rejects",
    async run(make) {
      await using harness = await make();
      const spec = specOf(harness);
      const id = await harness.runtime.create(spec, signal);
      await assert.rejects(created(harness, { name: spec.name }));
      await assert.rejects(created(harness, { imageId: absentImage }));
      assert.deepEqual(await harness.runtime.list(signal), [{ id, kernelId: spec.kernelId, status: "created" }]);
    },
  },
  {
    name: "start() starts a created container",
    async run(make) {
      await using harness = await make();
      const id = await started(harness);
      assert.equal((await harness.runtime.inspect(id, signal)).status, "running");
    },
  },
  {
    name: "start() of a running container is not an error",
    async run(make) {
      await using harness = await make();
      const id = await started(harness);
      await harness.runtime.start(id, signal);
      assert.equal((await harness.runtime.inspect(id, signal)).status, "running");
    },
  },
  {
    name: "start() throws ContainerNotFound if there is no such container",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.runtime.start(absentId, signal), ContainerNotFound);
    },
  },
  {
    name: "start() throws RuntimeFailed if a host port is taken",
    async run(make) {
      await using harness = await make();
      const ports = [{ containerPort: 2000, hostAddress: "127.0.0.1", hostPort: harness.freePort() }];
      await started(harness, { ports });
      await assert.rejects(started(harness, { ports }), RuntimeFailed);
    },
  },
  {
    name: "kill() ends a running container with SIGKILL",
    async run(make) {
      await using harness = await make();
      const id = await started(harness);
      await harness.runtime.kill(id, signal);
      await eventually(async () => (await harness.runtime.inspect(id, signal)).status === "dead");
      assert.equal((await harness.runtime.inspect(id, signal)).exitCode, 137);
    },
  },
  {
    name: "kill() of a dead, never started or absent container is not an error",
    async run(make) {
      await using harness = await make();
      const id = await dead(harness, 3);
      await harness.runtime.kill(id, signal);
      assert.equal((await harness.runtime.inspect(id, signal)).exitCode, 3);
      const other = await created(harness);
      await harness.runtime.kill(other, signal);
      assert.equal((await harness.runtime.inspect(other, signal)).status, "created");
      await harness.runtime.kill(absentId, signal);
    },
  },
  {
    name: "remove() removes a container in any state",
    async run(make) {
      await using harness = await make();
      for (const id of [await created(harness), await started(harness), await dead(harness, 0)]) {
        await harness.runtime.remove(id, signal);
        await assert.rejects(harness.runtime.inspect(id, signal), ContainerNotFound);
      }
      assert.deepEqual(await harness.runtime.list(signal), []);
    },
  },
  {
    name: "remove() of an absent container is not an error",
    async run(make) {
      await using harness = await make();
      await harness.runtime.remove(absentId, signal);
    },
  },
  {
    name: "remove() called twice at once: the container is gone when either returns",
    async run(make) {
      await using harness = await make();
      const id = await started(harness);
      await Promise.all([1, 2].map(async () => {
        await harness.runtime.remove(id, signal);
        await assert.rejects(harness.runtime.inspect(id, signal), ContainerNotFound);
      }));
    },
  },
];

const VIEW_CASES: readonly ContractCase<ContainerRuntimeHarness>[] = [
  {
    name: "inspect() throws ContainerNotFound if there is no such container",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.runtime.inspect(absentId, signal), ContainerNotFound);
    },
  },
  {
    name: "inspect() gives the exit code once the container is dead, and null before",
    async run(make) {
      await using harness = await make();
      const running = await started(harness);
      assert.equal((await harness.runtime.inspect(running, signal)).exitCode, null);
      for (const exitCode of [0, 3]) {
        const { status, exitCode: found } = await harness.runtime.inspect(await dead(harness, exitCode), signal);
        assert.deepEqual([status, found], ["dead", exitCode]);
      }
    },
  },
  {
    name: "inspect() gives the host ports as they are bound",
    async run(make) {
      await using harness = await make();
      const [first, second] = [harness.freePort(), harness.freePort()];
      const id = await started(harness, {
        ports: [
          { containerPort: 2000, hostAddress: "127.0.0.1", hostPort: first },
          { containerPort: 2001, hostAddress: "127.0.0.1", hostPort: second },
        ],
      });
      const { hostPorts } = await harness.runtime.inspect(id, signal);
      assert.deepEqual(hostPorts, new Map([[2000, first], [2001, second]]));
    },
  },
  {
    name: "list() gives every container of this agent, in any state",
    async run(make) {
      await using harness = await make();
      const ids = [await created(harness), await started(harness), await dead(harness, 1)];
      const listed = await harness.runtime.list(signal);
      assert.deepEqual(
        new Map(listed.map(({ id, status }) => [id, status])),
        new Map([[ids[0], "created"], [ids[1], "running"], [ids[2], "dead"]]),
      );
      for (const { id, kernelId } of listed) {
        assert.equal((await harness.runtime.inspect(id, signal)).kernelId, kernelId);
      }
    },
  },
  {
    name: "containers of other agents are not seen",
    async run(make) {
      await using harness = await make();
      const id = await harness.stranger.create(specOf(harness), signal);
      try {
        assert.deepEqual(await harness.runtime.list(signal), []);
        await assert.rejects(harness.runtime.inspect(id, signal), ContainerNotFound);
        await assert.rejects(harness.runtime.logs(id, 100, signal), ContainerNotFound);
        await using watch = await watching(harness.runtime);
        await harness.stranger.start(id, signal);
        await harness.stranger.kill(id, signal);
        const own = await dead(harness, 5);
        assert.equal((await watch.next()).id, own);
      } finally {
        await harness.stranger.remove(id, signal);
      }
    },
  },
  {
    name: "a container without a kernel id is ignored",
    async run(make) {
      await using harness = await make();
      const id = await created(harness, { labels: new Map([["ai.backend.kernel-id", "none"]]) });
      try {
        assert.deepEqual(await harness.runtime.list(signal), []);
        await assert.rejects(harness.runtime.inspect(id, signal), ContainerNotFound);
      } finally {
        await harness.runtime.remove(id, signal);
      }
    },
  },
];

const CONSOLE_CASES: readonly ContractCase<ContainerRuntimeHarness>[] = [
  {
    name: "logs() gives what the container wrote to its console, as UTF-8 text",
    async run(make) {
      await using harness = await make();
      const id = await started(harness, { command: printing(harness, "안녕 world\n") });
      assert.equal(await printed(harness, id, 1000), "안녕 world\n");
    },
  },
  {
    name: "logs() gives only the last maxBytes",
    async run(make) {
      await using harness = await make();
      const id = await started(harness, { command: printing(harness, `${"x".repeat(5000)} the end\n`) });
      await printed(harness, id, 100);
      assert.equal((await harness.runtime.logs(id, 10, signal)).length, 10);
      assert.match(await harness.runtime.logs(id, 10, signal), /the end\r?\n$/);
      assert.equal(await harness.runtime.logs(id, 0, signal), "");
    },
  },
  {
    name: "logs() replaces undecodable bytes",
    async run(make) {
      await using harness = await make();
      const id = await started(harness, { command: harness.commands.print(Uint8Array.of(0x61, 0xff, 0x62, 0x0a)) });
      assert.equal(await printed(harness, id, 1000), "a\ufffdb\n");
    },
  },
  {
    name: "logs() of a container that never wrote is empty",
    async run(make) {
      await using harness = await make();
      assert.equal(await harness.runtime.logs(await created(harness), 1000, signal), "");
    },
  },
  {
    name: "logs() throws ContainerNotFound if there is no such container",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.runtime.logs(absentId, 1000, signal), ContainerNotFound);
    },
  },
];

function printing(harness: ContainerRuntimeHarness, text: string): readonly string[] {
  return harness.commands.print(new TextEncoder().encode(text));
}

/** The console once a whole line is on it. A terminal ends lines with CR LF. */
async function printed(harness: ContainerRuntimeHarness, id: ContainerId, maxBytes: number): Promise<string> {
  let text = "";
  await eventually(async () => (text = await harness.runtime.logs(id, maxBytes, signal)).endsWith("\n"));
  return text.replaceAll("\r\n", "\n");
}

const WATCH_CASES: readonly ContractCase<ContainerRuntimeHarness>[] = [
  {
    name: "watch() gives the deaths of this agent's containers in the engine's order",
    async run(make) {
      await using harness = await make();
      const [first, second] = [specOf(harness), specOf(harness, { command: harness.commands.exit(7) })];
      const [a, b] = [await harness.runtime.create(first, signal), await harness.runtime.create(second, signal)];
      await using watch = await watching(harness.runtime);
      await harness.runtime.start(a, signal);
      await harness.runtime.kill(a, signal);
      await harness.runtime.start(b, signal);
      assert.deepEqual(await watch.next(), { id: a, kernelId: first.kernelId, exitCode: 137 });
      assert.deepEqual(await watch.next(), { id: b, kernelId: second.kernelId, exitCode: 7 });
    },
  },
  {
    name: "watch() gives a death that happens in onReady",
    async run(make) {
      await using harness = await make();
      const id = await started(harness);
      let killed: Promise<void> = Promise.resolve();
      const deaths = harness.runtime.watch(() => killed = harness.runtime.kill(id, signal), signal);
      const iterator = deaths[Symbol.asyncIterator]();
      const { value } = await within(LIMIT_MS, iterator.next());
      assert.equal(value?.id, id);
      await killed;
      await iterator.return?.();
    },
  },
  {
    name: "watch() does not repeat deaths from before onReady",
    async run(make) {
      await using harness = await make();
      await dead(harness, 1);
      await using watch = await watching(harness.runtime);
      const id = await dead(harness, 2);
      assert.equal((await watch.next()).id, id);
    },
  },
  {
    name: "watch() throws signal.reason when aborted while it waits",
    async run(make) {
      await using harness = await make();
      await using _watch = await watching(harness.runtime); // its disposal checks it
    },
  },
  {
    name: "watch() ends by throwing when the engine goes away",
    async run(make) {
      await using harness = await make();
      const ready = Promise.withResolvers<void>();
      const watch = Array.fromAsync(harness.breakable.runtime.watch(ready.resolve, signal));
      const failed = assert.rejects(within(LIMIT_MS, watch), RuntimeUnavailable);
      await within(LIMIT_MS, ready.promise);
      harness.breakable.cut();
      await failed;
    },
  },
];

export const CONTAINER_RUNTIME_CASES: readonly ContractCase<ContainerRuntimeHarness>[] = [
  ...GENERAL_CASES,
  ...NETWORK_CASES,
  ...LIFE_CASES,
  ...VIEW_CASES,
  ...CONSOLE_CASES,
  ...WATCH_CASES,
];

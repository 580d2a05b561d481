import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { FakeConfigStore } from "../../adapters/fake/config_store.ts";
import { FakeContainerRuntime, FakeEngine } from "../../adapters/fake/container_runtime.ts";
import { FakeEventSink } from "../../adapters/fake/event_sink.ts";
import { FaultPlan } from "../../adapters/fake/fault_plan.ts";
import { FakeHostFacts } from "../../adapters/fake/host_facts.ts";
import { type FakeImage, FakeImageStore } from "../../adapters/fake/image_store.ts";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { FakeRunnerChannels } from "../../adapters/fake/runner_channels.ts";
import { type FakeScratch, FakeScratchStore } from "../../adapters/fake/scratch_store.ts";
import { FakeStatisticsStore } from "../../adapters/fake/statistics_store.ts";
import { FakeUsageMeter } from "../../adapters/fake/usage_meter.ts";
import { type KernelId, parseAgentId } from "../../domain/ids.ts";
import { PortPool } from "../../domain/net/port_pool.ts";
import { AllocationLedger } from "../../domain/resource/ledger.ts";
import { Agent } from "../../src/app/agent.ts";
import { intrinsicDevices, reportedSlots } from "../../src/app/capacity.ts";
import { CollectStatistics } from "../../src/app/collect_statistics.ts";
import { CreateKernel } from "../../src/app/create_kernel.ts";
import { EndIdleKernels } from "../../src/app/end_idle_kernels.ts";
import { EndKernel } from "../../src/app/end_kernel.ts";
import { EventPublisher } from "../../src/app/event_publisher.ts";
import { Heartbeat } from "../../src/app/heartbeat.ts";
import type { KernelSettings } from "../../src/app/kernel_draft.ts";
import { KernelImages } from "../../src/app/kernel_images.ts";
import { KernelTable } from "../../src/app/kernel_table.ts";
import { NodePresence } from "../../src/app/node_presence.ts";
import { ObserveContainers } from "../../src/app/observe_containers.ts";
import { RestoreKernels } from "../../src/app/restore_kernels.ts";
import { RunAgent } from "../../src/app/run_agent.ts";
import { TaskGroup } from "../../src/app/task_group.ts";
import type { RunnerChannels } from "../../src/ports/runner_channels.ts";
import { PYTHON, PYTHON_NAME } from "./kernel_request.ts";
import { Steps } from "./steps.ts";

type Faults = Readonly<Record<string, readonly (Error | undefined)[]>>;

/** What there is when an agent starts, and what stays when it ends. */
export class World {
  readonly clock = new FakeClock();
  readonly engine = new FakeEngine();
  readonly images = new FakeImageStore();
  readonly scratches = new Map<KernelId, FakeScratch>();
  readonly log = new MemoryLog();
  /** The programs in the containers, by the host port that takes their commands. */
  readonly runners = new FakeRunnerChannels({ log: this.log });

  /** @param local images on this host; {@linkcode PYTHON} can be pulled in any case */
  constructor(local: readonly FakeImage[] = [PYTHON]) {
    for (const image of local) this.images.add(image);
    this.images.registry.set(PYTHON_NAME, { image: PYTHON });
  }
}

export interface AgentOptions {
  readonly world?: World;
  readonly faults?: {
    readonly runtime?: Faults;
    readonly sink?: Faults;
    readonly scratch?: Faults;
    readonly statistics?: Faults;
    readonly config?: Faults;
    readonly meter?: Faults;
  };
  readonly settings?: Partial<KernelSettings>;
  readonly cores?: number;
  readonly ports?: readonly [first: number, last: number];
}

export const AGENT_ID = parseAgentId("i-test");
export const MEMORY = 8n * 1024n ** 3n;
export const SETTINGS: KernelSettings = {
  kernelHost: "10.0.0.7",
  user: { uid: 1000, gid: 1001 },
  runner: {
    dir: "/srv/runner/1",
    command: ["/opt/backend.ai/bin/run", "--kernel"],
    environ: new Map([["RUNNER", "1"]]),
  },
  folders: { base: "/mnt", prefix: "vfs" },
};

/** What every kernel uses as soon as it has started. */
const IDLE_USAGE = { cpuNs: 0n, memoryBytes: 4096n, ioReadBytes: 0n, ioWriteBytes: 0n, scratchBytes: 0n };

/** The agent of `src/compose.ts` on in-memory ports. Nothing runs until a test makes it run. */
export function makeAgent(options: AgentOptions = {}) {
  const { world = new World(), faults = {} } = options;
  const { clock, log, images } = world;
  const steps = new Steps();
  const fakes = {
    runtime: new FakeContainerRuntime({
      engine: world.engine,
      agentId: AGENT_ID,
      images,
      faults: new FaultPlan(faults.runtime),
    }),
    sink: new FakeEventSink(new FaultPlan(faults.sink)),
    scratch: new FakeScratchStore(new FaultPlan(faults.scratch), world.scratches),
    store: new FakeStatisticsStore(clock, new FaultPlan(faults.statistics)),
    meter: new FakeUsageMeter(new FaultPlan(faults.meter)),
    host: new FakeHostFacts(),
    config: new FakeConfigStore(new FaultPlan(faults.config)),
    inbound: new FakeInbound(),
  };
  fakes.host.interfaces = [...fakes.host.interfaces, { interface: "eth0", address: SETTINGS.kernelHost }];
  fakes.runtime.onStart = ({ id }) => void fakes.meter.kernels.set(id, IDLE_USAGE);
  const runtime = steps.watch("runtime", fakes.runtime);
  const sink = steps.watch("sink", fakes.sink);
  const scratch = steps.watch("scratch", fakes.scratch);
  const openChannels = new OpenChannels(world.runners);
  const channels = steps.watch("channels", openChannels);

  const cores = options.cores ?? 4;
  const capacity = { cores, memoryBytes: MEMORY, cpuOvercommit: 1, reservedCpu: 1, reservedMemoryBytes: 1024n ** 3n };
  const ledger = new AllocationLedger(intrinsicDevices(capacity));
  const [first, last] = options.ports ?? [30_000, 30_099];
  const ports = new PortPool(first, last);
  const settings = { ...SETTINGS, ...options.settings };

  const table = new KernelTable(clock);
  const tasks = new TaskGroup(log);
  const publisher = new EventPublisher({ sink, clock, log });
  const kernelImages = new KernelImages({ store: steps.watch("images", images), log });
  const statistics = new CollectStatistics({
    table,
    meter: steps.watch("meter", fakes.meter),
    store: steps.watch("statistics", fakes.store),
    sink,
    clock,
    log,
  });
  const shared = { table, ledger, ports, runtime, scratch, statistics, publisher, tasks, channels, clock, log };
  const ender = new EndKernel(shared);
  const host = steps.watch("host", fakes.host);
  const creator = new CreateKernel({ ...shared, settings, images: kernelImages, ender, host });
  const observer = new ObserveContainers({ ...shared, ender });
  const restorer = new RestoreKernels({ ...shared, ender });
  const idle = new EndIdleKernels({ ...shared, ender });
  const agent = new Agent({ ...shared, creator, ender, logsMaxBytes: 1024 * 1024 });
  const info = {
    host: "10.0.0.7",
    port: 6001,
    region: "local",
    scalingGroup: "default",
    slots: reportedSlots(capacity),
    version: "19.09.5",
    computePlugins: {},
  };
  const heartbeat = new Heartbeat({ sink, images: kernelImages, clock, info });
  const config = steps.watch("config", fakes.config);
  const presence = new NodePresence({ store: config, agentId: AGENT_ID, ip: "10.0.0.7", watcherPort: 6009 });
  const inbound = steps.watch("inbound", fakes.inbound);
  const runAgent = new RunAgent({
    ...shared,
    agent,
    images: kernelImages,
    restorer,
    creator,
    observer,
    idle,
    heartbeat,
    inbound,
    presence,
  });
  return {
    world,
    clock,
    log,
    steps,
    fakes,
    openChannels,
    ledger,
    ports,
    /** How many ports there are in all. */
    portCount: ports.free,
    table,
    tasks,
    publisher,
    kernelImages,
    statistics,
    ender,
    creator,
    observer,
    restorer,
    idle,
    agent,
    heartbeat,
    presence,
    runAgent,
    /** What the manager was told, in short: `kernel_started`, or `kernel_terminated user-requested 137`. */
    get told(): string[] {
      return fakes.sink.events.map((event) => {
        if (event.kind !== "kernel_terminated") return event.kind;
        return `${event.kind} ${event.reason} ${event.exitCode}`;
      });
    },
  };
}

export type TestAgent = ReturnType<typeof makeAgent>;

/** Knows whether calls can come in. */
export class FakeInbound {
  state: "new" | "bound" | "open" | "closed" = "new";

  bind(): Promise<string> {
    this.state = "bound";
    return Promise.resolve("tcp://10.0.0.7:6001");
  }

  serve(): void {
    this.state = "open";
  }

  close(): Promise<void> {
    this.state = "closed";
    return Promise.resolve();
  }
}

/** Knows which channels have not been closed. */
class OpenChannels implements RunnerChannels {
  readonly ports = new Set<number>();
  readonly #channels: RunnerChannels;

  constructor(channels: RunnerChannels) {
    this.#channels = channels;
  }

  open(...[endpoint, onMessage]: Parameters<RunnerChannels["open"]>): ReturnType<RunnerChannels["open"]> {
    const channel = this.#channels.open(endpoint, onMessage);
    this.ports.add(endpoint.commandPort);
    const close = () => {
      this.ports.delete(endpoint.commandPort);
      channel.close();
    };
    return {
      send: (command) => channel.send(command),
      pause: () => channel.pause(),
      resume: () => channel.resume(),
      close,
    };
  }
}

/** What an agent's kernels hold. */
export function holdings({ ledger, ports, table, openChannels, world }: TestAgent) {
  return {
    freeCores: ledger.free("cpu"),
    freeMemory: ledger.free("mem"),
    freePorts: ports.free,
    kernels: table.all().length,
    channels: openChannels.ports.size,
    scratches: world.scratches.size,
    containers: world.engine.containers.size,
  };
}

/** Slots, ports, table, channels, scratch directories and containers are as if there had never been a kernel. */
export function assertNothingHeld(agent: TestAgent): void {
  const { ledger, portCount } = agent;
  assert.deepEqual(holdings(agent), {
    freeCores: ledger.capacity("cpu"),
    freeMemory: ledger.capacity("mem"),
    freePorts: portCount,
    kernels: 0,
    channels: 0,
    scratches: 0,
    containers: 0,
  });
}

/** The agent hears of deaths until the result is disposed of. */
export async function following({ observer }: TestAgent) {
  const stop = new AbortController();
  const loop = observer.follow(stop.signal);
  await settle();
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      stop.abort();
      await loop;
    },
  };
}

/** One turn of the event loop: whatever waits for nothing but other promises has come to its end. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The outcome of a promise that must not be waiting for time or for anything outside. */
export async function now<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  promise.then(() => settled = true, () => settled = true);
  await settle();
  assert.ok(settled, "still waiting");
  return await promise;
}

/**
 * The composition root: the only file that names every adapter. It connects the parts up to the point of 03 §7 at which all
 * are there; `RunAgent` goes on from it.
 */
import { fileURLToPath } from "node:url";
import { kernelUser } from "../config/checks.ts";
import type { AgentConfig } from "../config/schema.ts";
import { StartFailed } from "../domain/errors.ts";
import { type AgentId, parseAgentId } from "../domain/ids.ts";
import { PortPool } from "../domain/net/port_pool.ts";
import { AllocationLedger } from "../domain/resource/ledger.ts";
import { SystemClock } from "../adapters/clock/system_clock.ts";
import { DockerRuntime } from "../adapters/docker/container_runtime.ts";
import { engineEndpoint } from "../adapters/docker/endpoint.ts";
import { EngineClient } from "../adapters/docker/engine_client.ts";
import { DockerImages } from "../adapters/docker/image_store.ts";
import { SystemHost } from "../adapters/host/host_facts.ts";
import { CgroupMeter } from "../adapters/host/usage_meter.ts";
import { ConsoleLog } from "../adapters/log/console_log.ts";
import { methodTable } from "../adapters/rpc/methods.ts";
import { RpcServer } from "../adapters/rpc/server.ts";
import { ZeroMqRunnerChannels } from "../adapters/runner/channels.ts";
import { readInstallation, type RunnerInstallation, warmUp } from "../adapters/runner/installation.ts";
import { FileScratch } from "../adapters/scratch/file_scratch.ts";
import { ZeroMqSockets } from "../adapters/zeromq/sockets.ts";
import { Agent } from "./app/agent.ts";
import { type CapacityOptions, intrinsicDevices, reportedSlots } from "./app/capacity.ts";
import { type ClusterSettings, type NodeAddresses, readCluster, resolveAddresses } from "./app/cluster.ts";
import { CollectStatistics } from "./app/collect_statistics.ts";
import { CreateKernel } from "./app/create_kernel.ts";
import { EndIdleKernels } from "./app/end_idle_kernels.ts";
import { EndKernel } from "./app/end_kernel.ts";
import { EventPublisher } from "./app/event_publisher.ts";
import { FanOutEventSink } from "./app/fan_out_event_sink.ts";
import { Heartbeat } from "./app/heartbeat.ts";
import type { KernelSettings } from "./app/kernel_draft.ts";
import { KernelImages } from "./app/kernel_images.ts";
import { KernelTable } from "./app/kernel_table.ts";
import { NodePresence } from "./app/node_presence.ts";
import { ObserveContainers } from "./app/observe_containers.ts";
import { RestoreKernels } from "./app/restore_kernels.ts";
import { RunAgent } from "./app/run_agent.ts";
import { TaskGroup } from "./app/task_group.ts";
import type { ConfigStore } from "./ports/config_store.ts";
import type { EventSink } from "./ports/event_sink.ts";
import type { Log } from "./ports/log.ts";
import type { StatisticsStore } from "./ports/statistics_store.ts";

/** The release that this agent behaves as towards the manager. */
const AGENT_VERSION = "19.09.5";

export interface ComposeRequest {
  readonly config: AgentConfig;
  /** Serve without etcd, Redis and manager. */
  readonly standalone: boolean;
  readonly log: Log;
  /** Receives what has to be closed after the agent has stopped. */
  readonly resources: AsyncDisposableStack;
}

export function composeLog(config: AgentConfig): Log {
  return new ConsoleLog(config.logging);
}

/** Connects everything and waits for the manager. @throws {StartFailed} and what the ports throw. */
export async function composeAgent(request: ComposeRequest, signal: AbortSignal): Promise<RunAgent> {
  const { config, log, resources } = request;
  const installation = await readInstallation(config.agent.runnerDir || builtRunner());
  const clock = new SystemClock();
  const host = new SystemHost();
  const sockets = resources.use(new ZeroMqSockets({ log }));
  const identity = await host.identity(signal);
  const agentId = parseAgentId(config.agent.id || identity.instanceId);
  const etcd = request.standalone ? undefined : `${config.etcd.addr.host}:${config.etcd.addr.port}`;
  log.info("agent starting", { agentId, instanceType: config.agent.instanceType || identity.instanceType, etcd });

  const parts: Parts = { ...request, clock, host, sockets, agentId };
  const configStore = await openConfigStore(parts);
  const wishes = { rpcHost: config.agent.rpcListenAddr.host, kernelHost: config.container.kernelHost };
  const addresses = await resolveAddresses(
    { config: configStore, host, cloudAddress: identity.address },
    wishes,
    signal,
  );
  checkKernelHost(host, addresses.kernelHost);
  const presence = presenceOf(parts, configStore, addresses);
  await presence.starting(signal);
  if (!request.standalone) log.info("waiting for the manager's key in etcd", { key: "nodes/manager" });
  const cluster = request.standalone ? STANDALONE_CLUSTER : await readCluster(configStore, signal);
  const { sink, store } = await openStores(parts, cluster);

  const engine = resources.use(new EngineClient(engineEndpoint(config.container.dockerHost, exists)));
  const runtime = new DockerRuntime({ client: engine, agentId, log });
  const images = new KernelImages({ store: new DockerImages({ client: engine, agentId, log }), log });
  const facts = await runtime.facts(signal);
  log.info("container engine", { version: facts.version, cores: facts.cores, memoryBytes: facts.memoryBytes });
  const capacity = capacityOf(config, facts);
  const scratch = new FileScratch({ root: config.container.scratchRoot, agentId, log });
  await scratch.prepare();
  const meter = new CgroupMeter({ scratchWorkDir: (kernelId) => scratch.workDir(kernelId) });

  const table = new KernelTable(clock);
  const tasks = new TaskGroup(log);
  const publisher = new EventPublisher({ sink, clock, log });
  const statistics = new CollectStatistics({ table, meter, store, sink, clock, log });
  const ledger = new AllocationLedger(intrinsicDevices(capacity));
  const ports = new PortPool(config.container.portRange.first, config.container.portRange.last);
  const channels = new ZeroMqRunnerChannels({ sockets, log });
  const shared = {
    table,
    ledger,
    ports,
    runtime,
    images,
    scratch,
    channels,
    publisher,
    statistics,
    tasks,
    host,
    clock,
    log,
  };
  const ender = new EndKernel(shared);
  const settings = kernelSettings(config, { addresses, host, installation, folders: cluster.folders });
  const creator = new CreateKernel({ ...shared, ender, settings });
  const agent = new Agent({ ...shared, creator, ender, logsMaxBytes: Number(config.container.maxLogBytes) });
  const inbound = new RpcServer({
    sockets,
    endpoint: tcpEndpoint(addresses.rpcHost, config.agent.rpcListenAddr.port),
    methods: methodTable(agent),
    sender: { pid: Deno.pid, nonce: crypto.getRandomValues(new Uint16Array(1))[0] ?? 0 },
    clock,
    log,
  });
  const heartbeat = new Heartbeat({
    sink,
    images,
    clock,
    info: {
      host: addresses.rpcHost,
      port: config.agent.rpcListenAddr.port,
      region: config.agent.region || identity.region,
      scalingGroup: config.agent.scalingGroup,
      slots: reportedSlots(capacity),
      version: AGENT_VERSION,
      computePlugins: computePlugins(host.machine),
    },
  });
  void tasks.spawn("read the runner into the page cache", (aborted) => warmUp(installation, aborted));
  return new RunAgent({
    ...shared,
    agent,
    creator,
    inbound,
    heartbeat,
    presence,
    restorer: new RestoreKernels({ ...shared, ender }),
    observer: new ObserveContainers({ ...shared, ender }),
    idle: new EndIdleKernels({ ...shared, ender }),
  });
}

/** What the parts below are made from. */
interface Parts extends ComposeRequest {
  readonly clock: SystemClock;
  readonly host: SystemHost;
  readonly sockets: ZeroMqSockets;
  readonly agentId: AgentId;
}

/** There is no cluster: nothing is mounted and nobody is told. */
const STANDALONE_CLUSTER: Pick<ClusterSettings, "folders"> = { folders: { base: "/mnt", prefix: "" } };

/** Loaded only when used: a standalone agent has no need of the etcd and Redis clients, nor a cluster's of SQLite. */
async function openConfigStore({ config, standalone, agentId, log, resources }: Parts): Promise<ConfigStore> {
  if (standalone) {
    const { EmbeddedConfigStore } = await import("../adapters/embedded/config_store.ts");
    return new EmbeddedConfigStore(await embeddedStore(config, resources));
  }
  const { EtcdConfigStore } = await import("../adapters/etcd/config_store.ts");
  const { namespace, addr, user, password } = config.etcd;
  return resources.use(
    new EtcdConfigStore({
      ...addr,
      namespace,
      ...(user ? { user, password: password ?? "" } : {}),
      scalingGroup: config.agent.scalingGroup,
      agentId,
      log,
    }),
  );
}

/** Where events and statistics go. */
async function openStores(
  parts: Parts,
  cluster: ClusterSettings | typeof STANDALONE_CLUSTER,
): Promise<{ readonly sink: EventSink; readonly store: StatisticsStore }> {
  const { config, clock, agentId, log, resources } = parts;
  if (!("redis" in cluster)) {
    const { EmbeddedEventSink } = await import("../adapters/embedded/event_sink.ts");
    const { EmbeddedStatistics } = await import("../adapters/embedded/statistics_store.ts");
    const database = await embeddedStore(config, resources);
    return { sink: new EmbeddedEventSink(database, { clock }), store: new EmbeddedStatistics(database, { clock }) };
  }
  const { RedisStatistics } = await import("../adapters/redis/statistics_store.ts");
  const { host, port, password } = cluster.redis;
  const server = { host, port, ...(password === undefined ? {} : { password }) };
  const store = resources.use(new RedisStatistics({ server, agentId, log }));
  const { transport } = config.event;
  const push = transport === "redis" ? undefined : await openPush(parts, cluster.eventAddress);
  if (push !== undefined && transport === "zeromq") return { sink: push, store };
  const { RedisEventSink } = await import("../adapters/redis/event_sink.ts");
  const redis = resources.use(new RedisEventSink({ server, agentId, log }));
  return { sink: push === undefined ? redis : new FanOutEventSink(redis, push), store };
}

/** The legacy event socket of the manager. @throws {StartFailed} if the manager has none. */
async function openPush({ sockets, agentId, resources }: Parts, address: string | undefined): Promise<EventSink> {
  if (address === undefined) {
    throw new StartFailed('"event.transport" needs the manager\'s "nodes/manager/event_addr", which is not in etcd');
  }
  const { PushEventSink } = await import("../adapters/zeromq/push_event_sink.ts");
  const { encodeHeartbeat, encodeLegacyEvent } = await import("../adapters/redis/event_codec.ts");
  const options = { sockets, address, agentId, encodeEvent: encodeLegacyEvent, encodeHeartbeat };
  return resources.use(new PushEventSink(options));
}

/** One file for the configuration and the events of a standalone agent. */
async function embeddedStore({ agent }: AgentConfig, resources: AsyncDisposableStack) {
  const { EmbeddedStore } = await import("../adapters/embedded/embedded_store.ts");
  await Deno.mkdir(agent.stateDir, { recursive: true });
  return resources.use(new EmbeddedStore(`${agent.stateDir}/standalone.sqlite`));
}

function presenceOf({ config, agentId }: Parts, store: ConfigStore, addresses: NodeAddresses): NodePresence {
  return new NodePresence({ store, agentId, ip: addresses.rpcHost, watcherPort: config.watcher.serviceAddr?.port });
}

/** Service ports are published there; without this every port would only look as if it were taken. @throws {StartFailed} */
function checkKernelHost(host: SystemHost, address: string): void {
  if (host.canBind(address, 0)) return;
  throw new StartFailed(`"container.kernel-host" is "${address}", at which this machine cannot listen`);
}

function capacityOf({ resource }: AgentConfig, facts: { cores: number; memoryBytes: bigint }): CapacityOptions {
  return {
    cores: facts.cores,
    memoryBytes: facts.memoryBytes,
    cpuOvercommit: resource.cpuOvercommitFactor,
    reservedCpu: resource.reservedCpu,
    reservedMemoryBytes: resource.reservedMem,
  };
}

function kernelSettings(
  config: AgentConfig,
  found: {
    readonly addresses: NodeAddresses;
    readonly host: SystemHost;
    readonly installation: RunnerInstallation;
    readonly folders: ClusterSettings["folders"];
  },
): KernelSettings {
  const { addresses, host, installation, folders } = found;
  return { kernelHost: addresses.kernelHost, user: kernelUser(config, host), runner: installation, folders };
}

/** Source: 02 §4. */
function computePlugins(machine: string) {
  const version = AGENT_VERSION;
  return { cpu: { version, agent_version: version, machine, os_type: "Linux" }, mem: { version } };
}

function tcpEndpoint(host: string, port: number): string {
  return host.includes(":") ? `tcp://[${host}]:${port}` : `tcp://${host}:${port}`;
}

/** Where `deno task runner:build` leaves the newest runner for this architecture. */
function builtRunner(): string {
  return fileURLToPath(new URL(`../build/runner/${Deno.build.arch}/current`, import.meta.url));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

import type { ContainerId } from "../../domain/ids.ts";
import { canonicalName, lastPathPart } from "../../domain/image/image_ref.ts";
import type { ImageTraits } from "../../domain/image/labels.ts";
import type { KernelUser } from "../../domain/kernel/account_files.ts";
import { resourceFile } from "../../domain/kernel/config_files.ts";
import type { KernelRecord, KernelRequest, PublishedService, ServicePort } from "../../domain/kernel/kernel_request.ts";
import type { Allocation } from "../../domain/resource/ledger.ts";
import type { ContainerSpec, Mount } from "../ports/container_runtime.ts";
import type { RunnerEndpoint } from "../ports/runner_channels.ts";
import type { Scratch } from "../ports/scratch_store.ts";
import type { CreatedKernel } from "./agent_service.ts";
import { mountText } from "./folder_mounts.ts";

/** Container ports of the runner's two sockets. Source: 06 §1.1. */
const RUNNER_IN_PORT = 2000;
const RUNNER_OUT_PORT = 2001;
/** The runner can be reached from this host alone (06 D-A12). */
export const LOOPBACK = "127.0.0.1";
const RUNNER_MOUNT = "/opt/backend.ai";
const WORK_DIR = "/home/work";
const CONFIG_DIR = "/home/config";
const PIDS_LIMIT = 4_096;

/** What is the same for every kernel of this agent. */
export interface KernelSettings {
  /** Address at which the manager reaches service ports. */
  readonly kernelHost: string;
  readonly user: KernelUser;
  /** The runner's folder on this host, and how it is started inside the container. */
  readonly runner: {
    readonly dir: string;
    readonly command: readonly string[];
    /** Of the runner alone: not written to `environ.txt`, which user code gets. */
    readonly environ: ReadonlyMap<string, string>;
  };
  /** Where virtual folders are mounted on this host: `{base}/{host}/{prefix}/{id}`. */
  readonly folders: { readonly base: string; readonly prefix: string };
}

/** What is asked for, and what the image says of itself. */
export interface KernelPlan {
  readonly request: KernelRequest;
  readonly traits: ImageTraits;
  readonly services: readonly ServicePort[];
  readonly folders: readonly Mount[];
}

/** One kernel with everything allocated to it; all of its descriptions are derived from here. */
export class KernelDraft {
  readonly bindings: ContainerSpec["ports"];
  readonly services: readonly PublishedService[];
  readonly environ: ReadonlyMap<string, string>;

  constructor(
    readonly plan: KernelPlan,
    readonly settings: KernelSettings,
    readonly allocation: Allocation,
    readonly hostPorts: readonly number[],
  ) {
    this.environ = kernelEnviron(plan, allocation, settings.user);
    const [inPort, outPort, ...rest] = hostPorts;
    if (inPort === undefined || outPort === undefined) throw new TypeError("A kernel needs two ports for its runner");
    let next = 0;
    this.services = plan.services.map((service) => {
      const mine = rest.slice(next, next += service.containerPorts.length);
      return { ...service, hostPorts: mine };
    });
    this.bindings = [
      { containerPort: RUNNER_IN_PORT, hostAddress: LOOPBACK, hostPort: inPort },
      { containerPort: RUNNER_OUT_PORT, hostAddress: LOOPBACK, hostPort: outPort },
      ...this.services.flatMap(({ containerPorts, hostPorts }) =>
        containerPorts.map((containerPort, i) => {
          return { containerPort, hostAddress: settings.kernelHost, hostPort: hostPorts[i] ?? 0 };
        })
      ),
    ];
  }

  /** @param withAccounts whether the configuration directory holds `passwd` and `group` for the container */
  containerSpec(dirs: Scratch, withAccounts: boolean): ContainerSpec {
    const { request, traits } = this.plan;
    const cores = [...this.allocation.get("cpu")?.keys() ?? []].map(Number).sort((a, b) => a - b);
    return {
      kernelId: request.kernelId,
      name: containerName(request),
      imageId: request.image.digest,
      command: [
        ...this.settings.runner.command,
        traits.runtimeType,
        ...(traits.runtimePath === undefined ? [] : [traits.runtimePath]),
      ],
      workdir: WORK_DIR,
      ...this.settings.user,
      environ: new Map([...this.environ, ...this.settings.runner.environ]),
      labels: new Map([
        ["ai.backend.kernel-id", request.kernelId],
        ["ai.backend.internal.block-service-ports", request.blockServicePorts ? "1" : "0"],
      ]),
      mounts: [
        { source: dirs.configDir, target: CONFIG_DIR, readOnly: true },
        { source: dirs.workDir, target: WORK_DIR, readOnly: false },
        { source: this.settings.runner.dir, target: RUNNER_MOUNT, readOnly: true },
        ...(withAccounts ? [accountMount(dirs, "passwd"), accountMount(dirs, "group")] : []),
        ...this.plan.folders,
      ],
      ports: this.bindings,
      cores,
      cpuQuota: cores.length, // 04-D44: by device, as the manager expects
      memoryBytes: sum(this.allocation.get("mem")) - request.shmemBytes,
      shmemBytes: request.shmemBytes,
      pidsLimit: PIDS_LIMIT,
    };
  }

  resourceFile(containerId: ContainerId | undefined): string {
    const { slots, idleTimeoutS } = this.plan.request;
    const mounts = this.plan.folders.map(mountText);
    return resourceFile({ containerId, slots, allocation: this.allocation, mounts, idleTimeoutS });
  }

  record(containerId: ContainerId, createdAtMs: number): KernelRecord {
    const { request } = this.plan;
    const [replInPort = 0, replOutPort = 0] = this.hostPorts;
    return {
      kernelId: request.kernelId,
      containerId,
      imageRef: canonicalName(request.image.ref),
      imageId: request.image.digest,
      sessionType: request.sessionType,
      allocation: this.allocation,
      shmemBytes: request.shmemBytes,
      idleTimeoutS: request.idleTimeoutS,
      kernelHost: this.settings.kernelHost,
      replInPort,
      replOutPort,
      services: this.services,
      hostPorts: this.hostPorts,
      blockServicePorts: request.blockServicePorts,
      createdAtMs,
    };
  }

  /** What the manager is told. */
  created(record: KernelRecord): CreatedKernel {
    const { kernelId, kernelHost, replInPort, replOutPort, services, containerId, allocation, idleTimeoutS } = record;
    return {
      kernelId,
      kernelHost,
      replInPort,
      replOutPort,
      services,
      containerId,
      slots: this.plan.request.slots,
      allocation,
      idleTimeoutS,
      mounts: this.plan.folders.map(mountText),
    };
  }
}

/** The variables of 04 §8, later ones over earlier ones. */
function kernelEnviron({ request, traits }: KernelPlan, allocation: Allocation, user: KernelUser): Map<string, string> {
  const environ = new Map(request.environ);
  if (traits.features.has("uid-match")) {
    environ.set("LOCAL_USER_ID", String(user.uid)).set("LOCAL_GROUP_ID", String(user.gid));
  }
  const cores = String(allocation.get("cpu")?.size ?? 0);
  for (const name of traits.corecountVariables) environ.set(name, cores);
  return environ;
}

/** `kernel.{image}.{kernel id}` (04 §9); image names may hold characters that engines do not take. */
function containerName({ image, kernelId }: KernelRequest): string {
  return `kernel.${lastPathPart(image.ref).replaceAll(/[^A-Za-z0-9_.-]/g, "-")}.${kernelId}`;
}

/** The runner's two and every service's. */
export function portCount(services: readonly ServicePort[]): number {
  return 2 + services.reduce((count, service) => count + service.containerPorts.length, 0);
}

function sum(amounts: ReadonlyMap<string, bigint> | undefined): bigint {
  let total = 0n;
  for (const amount of amounts?.values() ?? []) total += amount;
  return total;
}

function accountMount(dirs: Scratch, name: "passwd" | "group"): Mount {
  return { source: `${dirs.configDir}/${name}`, target: `/etc/${name}`, readOnly: true };
}

/** Where a kernel's runner listens, from its record. */
export function runnerEndpoint(record: KernelRecord): RunnerEndpoint {
  return { host: LOOPBACK, commandPort: record.replInPort, messagePort: record.replOutPort };
}

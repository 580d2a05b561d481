import { AgentStopping, InvalidField, RuntimeFailed } from "../../domain/errors.ts";
import type { ContainerId, KernelId } from "../../domain/ids.ts";
import { canonicalName } from "../../domain/image/image_ref.ts";
import { imageTraits, SERVICE_PORTS_LABEL } from "../../domain/image/labels.ts";
import { INTRINSIC_SERVICES, parseServicePorts } from "../../domain/image/service_ports.ts";
import { groupFile, passwdFile } from "../../domain/kernel/account_files.ts";
import { environFile, kernelIdFile } from "../../domain/kernel/config_files.ts";
import type { KernelRequest } from "../../domain/kernel/kernel_request.ts";
import type { PortPool } from "../../domain/net/port_pool.ts";
import type { AllocationLedger } from "../../domain/resource/ledger.ts";
import { COUNT, formatAmount } from "../../domain/resource/slots.ts";
import type { CreatedKernel } from "./agent_service.ts";
import type { CollectStatistics } from "./collect_statistics.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerRuntime } from "../ports/container_runtime.ts";
import type { HostFacts } from "../ports/host_facts.ts";
import type { Log } from "../ports/log.ts";
import type { RunnerChannels } from "../ports/runner_channels.ts";
import type { ScratchStore } from "../ports/scratch_store.ts";
import { withDeadline } from "./deadline.ts";
import type { EndKernel } from "./end_kernel.ts";
import type { EventPublisher } from "./event_publisher.ts";
import { folderMounts } from "./folder_mounts.ts";
import type { Kernel } from "./kernel.ts";
import {
  KernelDraft,
  type KernelPlan,
  type KernelSettings,
  LOOPBACK,
  portCount,
  runnerEndpoint,
} from "./kernel_draft.ts";
import type { KernelImages } from "./kernel_images.ts";
import type { KernelTable } from "./kernel_table.ts";
import { RunSession } from "./run_session.ts";
import type { TaskGroup } from "./task_group.ts";

const UNDO_LIMIT_MS = 30_000;

export interface CreateKernelDeps {
  readonly settings: KernelSettings;
  readonly table: KernelTable;
  readonly ledger: AllocationLedger;
  readonly ports: PortPool;
  readonly images: KernelImages;
  readonly runtime: ContainerRuntime;
  readonly scratch: ScratchStore;
  readonly channels: RunnerChannels;
  readonly publisher: EventPublisher;
  readonly statistics: CollectStatistics;
  readonly ender: EndKernel;
  readonly tasks: TaskGroup;
  readonly host: HostFacts;
  readonly clock: Clock;
  readonly log: Log;
}

/** Starts one kernel, or leaves no trace of it. The steps are those of 04 §3. */
export class CreateKernel {
  readonly #deps: CreateKernelDeps;
  #stopping = false;
  readonly #underWay = new Set<Kernel>();

  constructor(deps: CreateKernelDeps) {
    this.#deps = deps;
  }

  async execute(request: KernelRequest, signal: AbortSignal): Promise<CreatedKernel> {
    if (this.#stopping) throw new AgentStopping();
    checkLimits(request);
    const traits = imageTraits(request.image.labels);
    const label = request.image.labels.get(SERVICE_PORTS_LABEL) ?? "";
    const services = [...INTRINSIC_SERVICES, ...parseServicePorts(label)];
    const plan = { request, traits, services, folders: folderMounts(request, this.#deps.settings.folders) };
    const kernel = this.#deps.table.add(request.kernelId);
    this.#underWay.add(kernel);
    const cancellable = AbortSignal.any([signal, kernel.creation.signal]);
    try {
      return await this.#create(kernel, plan, cancellable);
    } catch (error) {
      this.#deps.ender.creationFailed(kernel);
      throw error;
    } finally {
      this.#underWay.delete(kernel);
    }
  }

  /** Refuses new creations, cancels those under way and waits until they are undone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const undone = [...this.#underWay].map((kernel) => {
      kernel.creation.abort(new AgentStopping());
      return kernel.ended.promise;
    });
    await Promise.all(undone);
  }

  async #create(kernel: Kernel, plan: KernelPlan, signal: AbortSignal): Promise<CreatedKernel> {
    const { table, ledger, ports, runtime, scratch, publisher, statistics, tasks, settings, host } = this.#deps;
    const { request, services } = plan;
    const { kernelId } = request;
    await using undo = new AsyncDisposableStack();

    await publisher.publish({ kind: "kernel_preparing", kernelId }, signal);
    await this.#provideImage(request, signal);
    await publisher.publish({ kind: "kernel_creating", kernelId }, signal);
    const accounts = settings.user.uid === 0
      ? undefined
      : await this.#deps.images.accounts(request.image.digest, signal);

    const allocation = ledger.allocate(kernelId, request.slots);
    undo.defer(() => void ledger.release(kernelId));
    const usable = (port: number) => host.canBind(settings.kernelHost, port) && host.canBind(LOOPBACK, port);
    const hostPorts = ports.lease(kernelId, portCount(services), usable);
    undo.defer(() => void ports.release(kernelId));
    const dirs = await scratch.create(kernelId, settings.user);
    undo.defer(() => this.#undoing("remove scratch", () => scratch.remove(kernelId)));
    const draft = new KernelDraft(plan, settings, allocation, hostPorts);
    await this.#writeConfig(draft, undefined);
    if (accounts !== undefined) {
      await scratch.writeConfig(kernelId, "passwd", passwdFile(accounts.passwd, settings.user));
      await scratch.writeConfig(kernelId, "group", groupFile(accounts.group, settings.user));
    }

    const spec = draft.containerSpec(dirs, accounts !== undefined);
    undo.defer(() => this.#undoing("remove container", (limited) => this.#removeContainer(kernelId, limited)));
    const containerId = await runtime.create(spec, signal);
    await this.#writeConfig(draft, containerId);
    await runtime.start(containerId, signal);
    await this.#checkStarted(draft, containerId, signal);

    const record = draft.record(containerId, this.#deps.clock.now());
    await scratch.writeRecord(record);
    kernel.record = record;
    kernel.session = new RunSession(kernelId, runnerEndpoint(record), this.#deps);
    undo.defer(() => kernel.session?.close(137, "The creation of the kernel was undone.\n"));
    await publisher.publish({ kind: "kernel_started", kernelId }, signal);
    signal.throwIfAborted();
    undo.move(); // committed: the kernel table owns it now
    kernel.lastUsedMs = this.#deps.clock.monotonic();
    this.#deps.ender.containerStarted(kernel, containerId);
    if (table.find(kernelId) === kernel) {
      void tasks.spawn("first statistics", (running) => statistics.collectOne(kernel, running));
    }
    this.#deps.log.info("kernel created", { kernelId, image: record.imageRef, containerId });
    return draft.created(record);
  }

  async #provideImage(request: KernelRequest, signal: AbortSignal): Promise<void> {
    const { images, publisher } = this.#deps;
    if (await images.isPresent(request.image, signal)) return;
    const image = canonicalName(request.image.ref);
    await publisher.publish({ kind: "kernel_pulling", kernelId: request.kernelId, image }, signal);
    await images.pull(request.image, signal);
  }

  async #writeConfig(draft: KernelDraft, containerId: ContainerId | undefined): Promise<void> {
    const { scratch } = this.#deps;
    const { kernelId } = draft.plan.request;
    await scratch.writeConfig(kernelId, "resource.txt", draft.resourceFile(containerId));
    if (containerId !== undefined) return;
    await scratch.writeConfig(kernelId, "environ.txt", environFile(draft.environ));
    await scratch.writeConfig(kernelId, "kernel_id.txt", kernelIdFile(kernelId));
  }

  /** A container that ended at once, or whose ports are not those that were asked for, is no kernel. */
  async #checkStarted(draft: KernelDraft, containerId: ContainerId, signal: AbortSignal): Promise<void> {
    const { runtime, log } = this.#deps;
    const details = await runtime.inspect(containerId, signal);
    const { kernelId } = draft.plan.request;
    if (details.status !== "running") {
      const output = await runtime.logs(containerId, 4_096, signal).catch(() => "");
      log.error("container ended at once", { kernelId, exitCode: details.exitCode, output });
      throw new RuntimeFailed(
        "start the kernel",
        500,
        `its container ended at once with exit code ${details.exitCode}`,
      );
    }
    for (const { containerPort, hostPort } of draft.bindings) {
      if (details.hostPorts.get(containerPort) === hostPort) continue;
      throw new RuntimeFailed("publish the kernel's ports", 500, `port ${containerPort} is not at ${hostPort}`);
    }
  }

  /** Looks for it: when the create call was cut off, its id was never heard. */
  async #removeContainer(owner: KernelId, signal: AbortSignal): Promise<void> {
    for (const { id, kernelId } of await this.#deps.runtime.list(signal)) {
      if (kernelId === owner) await this.#deps.runtime.remove(id, signal);
    }
  }

  /** Never throws: the creation's own failure is what the caller hears. Reconciliation or the next start repairs it. */
  async #undoing(attempt: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const signal = new AbortController().signal; // the cancelled signal must not cancel the clean-up
    try {
      await withDeadline(this.#deps.clock, { attempt, limitMs: UNDO_LIMIT_MS, signal }, work);
    } catch (error) {
      this.#deps.log.error(`cannot ${attempt} while undoing a creation`, { error });
    }
  }
}

/** To an engine, no cores and no memory mean no limit (04-D44). @throws {InvalidField} */
function checkLimits({ slots, shmemBytes }: KernelRequest): void {
  const cores = slots.get("cpu") ?? 0n;
  if (cores < COUNT) throw new InvalidField("slots.cpu", "at least one core", formatAmount(cores, "count"));
  const memory = slots.get("mem") ?? 0n;
  if (memory <= shmemBytes) throw new InvalidField("slots.mem", "more memory than shared memory", memory);
}

import { StartFailed } from "../../domain/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { ContainerRuntime } from "../ports/container_runtime.ts";
import type { Log } from "../ports/log.ts";
import type { Agent } from "./agent.ts";
import type { CollectStatistics } from "./collect_statistics.ts";
import type { CreateKernel } from "./create_kernel.ts";
import { withDeadline } from "./deadline.ts";
import type { EndIdleKernels } from "./end_idle_kernels.ts";
import type { EventPublisher } from "./event_publisher.ts";
import { type Heartbeat, HEARTBEAT_INTERVAL_MS } from "./heartbeat.ts";
import type { KernelImages } from "./kernel_images.ts";
import type { KernelTable } from "./kernel_table.ts";
import type { ObserveContainers } from "./observe_containers.ts";
import { periodically } from "./periodic.ts";
import type { RestoreKernels } from "./restore_kernels.ts";
import { TaskGroup } from "./task_group.ts";

const IMAGE_SCAN_INTERVAL_MS = 60_000;
const STATISTICS_INTERVAL_MS = 2_000;
const IDLE_CHECK_INTERVAL_MS = 1_000;
const RUNNER_MAINTENANCE_INTERVAL_MS = 10_000;
const RECONCILE_INTERVAL_MS = 30_000;
const START_STEP_LIMIT_MS = 30_000;
/** How long a stop waits for kernels and calls, and then for the manager to be told (04-D41). */
const FINISH_LIMIT_MS = 20_000;
const FAREWELL_LIMIT_MS = 10_000;

/** Where calls come in. */
export interface Inbound {
  /** Takes the address, which also keeps a second agent away; calls wait from then on. Resolves with what is bound. */
  bind(): Promise<string>;
  /** Serves the calls that wait, and all that come. */
  serve(): void;
  /** Ends the calls under way and answers each of them. */
  close(): Promise<void>;
}

/** Tells the cluster's configuration that this node serves, and that it no longer does. */
export interface Presence {
  announce(signal: AbortSignal): Promise<void>;
  withdraw(signal: AbortSignal): Promise<void>;
}

export interface RunAgentDeps {
  readonly agent: Agent;
  readonly table: KernelTable;
  readonly runtime: ContainerRuntime;
  readonly images: KernelImages;
  readonly restorer: RestoreKernels;
  readonly creator: CreateKernel;
  readonly observer: ObserveContainers;
  readonly statistics: CollectStatistics;
  readonly idle: EndIdleKernels;
  readonly heartbeat: Heartbeat;
  readonly publisher: EventPublisher;
  readonly inbound: Inbound;
  readonly presence: Presence;
  /** Work that ends kernels; it must be over before the agent ends. */
  readonly tasks: TaskGroup;
  readonly clock: Clock;
  readonly log: Log;
}

/** Starts the agent in the order of 03 §7 and 02-D5, and stops it in that of 04 §18. */
export class RunAgent {
  readonly #deps: RunAgentDeps;
  readonly #loops: TaskGroup;

  constructor(deps: RunAgentDeps) {
    this.#deps = deps;
    this.#loops = new TaskGroup(deps.log);
  }

  /** @throws {StartFailed} and what the ports throw; then nothing runs, and the kernels are left as they are. */
  async start(signal: AbortSignal): Promise<void> {
    const { inbound, heartbeat, publisher, presence, log } = this.#deps;
    const endpoint = await inbound.bind(); // before anything is touched that another agent of this address may own
    try {
      await this.#step("read what the container engine has", signal, (limited) => this.#survey(limited));
      inbound.serve();
      await this.#step("send the first heartbeat", signal, (limited) => heartbeat.send(limited));
      await this.#step("announce this node", signal, (limited) => presence.announce(limited));
      await publisher.publish({ kind: "instance_started", reason: "self-started" }, signal);
    } catch (error) {
      await inbound.close();
      await this.#letGo();
      throw error;
    }
    this.#startLoops();
    log.info("agent started", { endpoint });
  }

  /** @param endKernels whether the kernels end as well, or live on for the next process */
  async stop({ endKernels }: { readonly endKernels: boolean }): Promise<void> {
    this.#deps.log.info("agent stopping", { endKernels });
    await this.#within(FINISH_LIMIT_MS, "finish its work", (limited) => this.#finish(endKernels, limited));
    await this.#letGo(); // no heartbeat after the last event (02 §6)
    await this.#within(FAREWELL_LIMIT_MS, "take its leave", (limited) => this.#takeLeave(limited));
  }

  async #survey(signal: AbortSignal): Promise<void> {
    const { runtime, images, restorer, log } = this.#deps;
    const [running] = await Promise.all([
      restorer.execute(signal),
      images.scan(signal),
      runtime.ensureNetwork(signal),
    ]);
    log.info("kernels restored", { running, images: images.local.length });
  }

  #startLoops(): void {
    const { heartbeat, images, statistics, idle, observer, table, clock } = this.#deps;
    const every = (name: string, intervalMs: number, work: (signal: AbortSignal) => Promise<void>) => {
      void this.#loops.spawn(name, (signal) => periodically(this.#deps, { name, intervalMs, signal }, work));
    };
    void this.#loops.spawn("heartbeat", async (signal) => {
      await clock.sleep(HEARTBEAT_INTERVAL_MS, signal); // the first one has been sent
      const options = { name: "heartbeat", intervalMs: HEARTBEAT_INTERVAL_MS, signal };
      await periodically(this.#deps, options, (limited) => heartbeat.send(limited));
    });
    void this.#loops.spawn("container events", (signal) => observer.follow(signal));
    every("reconciliation", RECONCILE_INTERVAL_MS, (signal) => observer.reconcile(signal));
    every("image scan", IMAGE_SCAN_INTERVAL_MS, async (signal) => {
      await images.scan(signal);
      await images.prepare(signal);
    });
    every("statistics", STATISTICS_INTERVAL_MS, (signal) => statistics.collect(signal));
    every("idle check", IDLE_CHECK_INTERVAL_MS, (signal) => Promise.resolve(idle.execute(signal)));
    every("runner maintenance", RUNNER_MAINTENANCE_INTERVAL_MS, () => {
      for (const kernel of table.all()) if (kernel.running) kernel.session?.maintain();
      return Promise.resolve();
    });
  }

  async #finish(endKernels: boolean, signal: AbortSignal): Promise<void> {
    const { inbound, creator, agent, table, tasks, runtime, log } = this.#deps;
    await inbound.close();
    await creator.stop();
    if (endKernels) {
      await agent.destroyAll("agent-termination", signal);
      await Promise.all(table.all().map((kernel) => kernel.ended.promise));
    }
    await tasks.idle();
    await runtime.removeNetwork(signal) // kernels that live on keep it
      .catch((error) => log.warn("private network not removed", { error }));
  }

  /** Ends everything that runs by itself. The kernels that are left are the next process's. */
  async #letGo(): Promise<void> {
    const { table, tasks } = this.#deps;
    await this.#loops[Symbol.asyncDispose]();
    await tasks[Symbol.asyncDispose]();
    for (const kernel of table.all()) kernel.session?.detach();
  }

  async #takeLeave(signal: AbortSignal): Promise<void> {
    const { publisher, presence, log } = this.#deps;
    publisher.announce({ kind: "instance_terminated", reason: "shutdown" });
    const withdrawn = presence.withdraw(signal).catch((error) => log.debug("node status not withdrawn", { error }));
    await publisher.flush(signal);
    await withdrawn;
  }

  async #within(limitMs: number, attempt: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { clock, log } = this.#deps;
    const signal = new AbortController().signal; // ended by the limit alone
    try {
      await withDeadline(clock, { attempt, limitMs, signal }, work);
    } catch (error) {
      log.error(`the agent ends although it could not ${attempt}; the next start repairs it`, { error });
    }
  }

  async #step(attempt: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const options = { attempt, limitMs: START_STEP_LIMIT_MS, signal };
    try {
      await withDeadline(this.#deps.clock, options, work);
    } catch (error) {
      signal.throwIfAborted();
      throw new StartFailed(`cannot ${attempt}`, { cause: error });
    }
  }
}

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
/** Everything that a stop waits for has to be over by then (04-D41). */
const STOP_LIMIT_MS = 30_000;

/** Where calls come in: opened once the agent can serve them, closed first of all. */
export interface Inbound {
  /** Resolves once calls are taken, with the address that is bound. */
  open(): Promise<string>;
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

  /** @throws {StartFailed} and what the ports throw; nothing runs then. */
  async start(signal: AbortSignal): Promise<void> {
    const { inbound, heartbeat, publisher, presence, log } = this.#deps;
    await this.#step("read what the container engine has", signal, (limited) => this.#survey(limited));
    try {
      await inbound.open();
      await this.#step("send the first heartbeat", signal, (limited) => heartbeat.send(limited));
      await publisher.publish({ kind: "instance_started", reason: "self-started" }, signal);
      this.#startLoops();
      await this.#step("announce this node", signal, (limited) => presence.announce(limited));
    } catch (error) {
      await inbound.close();
      await this.#loops[Symbol.asyncDispose]();
      throw error;
    }
    log.info("agent started");
  }

  /** @param endKernels whether the kernels end as well, or live on for the next process */
  async stop({ endKernels }: { readonly endKernels: boolean }): Promise<void> {
    const { clock, log } = this.#deps;
    const signal = new AbortController().signal; // ended by the limit alone
    log.info("agent stopping", { endKernels });
    try {
      await withDeadline(clock, { attempt: "stop in time", limitMs: STOP_LIMIT_MS, signal }, async (limited) => {
        await this.#stopServing(endKernels, limited);
      });
    } catch (error) {
      log.error("agent stops with work undone; the next start repairs it", { error });
    }
    await this.#loops[Symbol.asyncDispose]();
    await this.#deps.tasks[Symbol.asyncDispose]();
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

  async #stopServing(endKernels: boolean, signal: AbortSignal): Promise<void> {
    const { inbound, creator, agent, table, tasks, publisher, presence, runtime } = this.#deps;
    await inbound.close();
    await creator.stop();
    if (endKernels) {
      await agent.destroyAll("agent-termination", signal);
      await Promise.all(table.all().map((kernel) => kernel.ended.promise));
    }
    await tasks.idle();
    await runtime.removeNetwork(signal) // kernels that live on keep it
      .catch((error) => this.#deps.log.warn("private network not removed", { error }));
    await this.#loops[Symbol.asyncDispose](); // no heartbeat after the last event (02 §6)
    for (const kernel of table.all()) kernel.session?.detach();
    publisher.announce({ kind: "instance_terminated", reason: "shutdown" });
    await publisher.flush(signal);
    await presence.withdraw(signal).catch((error) => this.#deps.log.debug("node status not withdrawn", { error }));
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

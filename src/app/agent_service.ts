import type { ContainerId, KernelId, RunId } from "../../domain/ids.ts";
import type { KernelRequest, PublishedService } from "../../domain/kernel/kernel_request.ts";
import type { RunReport } from "../../domain/kernel/run_queue.ts";
import type { Allocation } from "../../domain/resource/ledger.ts";
import type { Slots } from "../../domain/resource/slots.ts";
import type { KernelMetrics } from "../../domain/stats/metrics.ts";

/** What a manager may ask of the agent, free of any wire format. Safe for concurrent calls. */
export interface AgentService {
  /**
   * Starts a kernel, or leaves no trace of it.
   * @throws {KernelExists}, {InsufficientSlots}, {UnknownSlot}, {InsufficientPorts}, {ImageNotFound}, {ImagePullFailed},
   * {RuntimeFailed}, {CreationCancelled} when a destroy came meanwhile, {AgentStopping}.
   */
  createKernel(request: KernelRequest, signal: AbortSignal): Promise<CreatedKernel>;
  /**
   * Ends a kernel; returns when its container has been told to end, with its last statistics if there are any. An
   * unknown kernel is reported as terminated (once) and is not an error.
   */
  destroyKernel(kernelId: KernelId, reason: string, signal: AbortSignal): Promise<KernelMetrics | null>;
  /** Interrupts what the kernel runs now, if anything. @throws {KernelNotFound} */
  interruptKernel(kernelId: KernelId): void;
  /**
   * Starts or continues a run and collects its output until something happens or the flush time is over.
   * @throws {KernelNotFound}, {UnknownRun} when `continue` or `input` name a run that does not exist, {TooManyRuns}.
   */
  execute(request: ExecuteRequest, signal: AbortSignal): Promise<RunReport>;
  /** The tail of what the kernel wrote to its console. @throws {KernelNotFound} */
  getLogs(kernelId: KernelId, signal: AbortSignal): Promise<string>;
  /** Notes that the kernel is in use. An unknown kernel is ignored. */
  touch(kernelId: KernelId): void;
  /** Ends every kernel; a failure of one is logged and does not keep the others (01-D16). */
  destroyAll(reason: string, signal: AbortSignal): Promise<void>;
}

export interface CreatedKernel {
  readonly kernelId: KernelId;
  readonly kernelHost: string;
  readonly replInPort: number;
  readonly replOutPort: number;
  readonly services: readonly PublishedService[];
  readonly containerId: ContainerId;
  readonly slots: Slots;
  readonly allocation: Allocation;
  readonly idleTimeoutS: number;
  /** `source:target:permission` of each virtual folder. */
  readonly mounts: readonly string[];
}

export type ExecuteMode = "query" | "batch" | "input" | "continue";

export interface ExecuteRequest {
  readonly kernelId: KernelId;
  /** null: a new run under an id of the agent's choice. */
  readonly runId: RunId | null;
  /** Decides the form of the console output: 06 §7.5.1. */
  readonly apiVersion: number;
  readonly mode: ExecuteMode;
  readonly code: string;
  /** Commands of a batch; an absent one is skipped. */
  readonly options: { readonly clean?: string; readonly build?: string; readonly exec?: string };
  /** How long output is collected; null waits for an event without limit. */
  readonly flushTimeoutMs: number | null;
}

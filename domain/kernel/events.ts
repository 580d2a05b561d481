/** What the agent tells the manager, in the manager's words. Source: 02 §3, §4. */
import type { ImageId, KernelId } from "../ids.ts";
import type { SlotUnit } from "../resource/slots.ts";

/** Why a kernel ended; any other text comes from the caller of destroy. Source: 02 §3.1. */
export type TerminationReason =
  | "user-requested"
  | "self-terminated"
  | "idle-timeout"
  | "agent-termination"
  | "agent-reset"
  | (string & Record<never, never>);

export type AgentEvent =
  | { readonly kind: "instance_started" | "instance_terminated"; readonly reason: string }
  | { readonly kind: "kernel_preparing" | "kernel_creating" | "kernel_started"; readonly kernelId: KernelId }
  | { readonly kind: "kernel_stat_sync"; readonly kernelId: KernelId }
  | { readonly kind: "kernel_pulling"; readonly kernelId: KernelId; readonly image: string }
  | {
    readonly kind: "kernel_terminated";
    readonly kernelId: KernelId;
    readonly reason: TerminationReason;
    readonly exitCode: number | null;
  };

/** A local image that can run kernels. `tag` is as the engine reports it. */
export interface LocalImage {
  readonly tag: string;
  readonly id: ImageId;
}

/** The heartbeat. Source: 02 §4. */
export interface AgentInfo {
  readonly host: string;
  readonly port: number;
  readonly region: string;
  readonly scalingGroup: string;
  /** Capacity minus reservation, per slot, in the slot's base unit. */
  readonly slots: ReadonlyMap<string, { readonly unit: SlotUnit; readonly amount: bigint }>;
  readonly version: string;
  readonly computePlugins: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly images: readonly LocalImage[];
}

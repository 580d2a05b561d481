/** What a kernel is asked to be, and what it was given. */
import type { ContainerId, ImageId, KernelId } from "../ids.ts";
import type { ImageRef } from "../image/image_ref.ts";
import type { Allocation } from "../resource/ledger.ts";
import type { Slots } from "../resource/slots.ts";

export type SessionType = "interactive" | "batch";
export type MountPermission = "ro" | "rw";

/** The image a kernel runs, as the manager names it. Source: 04 §2. */
export interface ImageRequest {
  readonly ref: ImageRef;
  /** Digest of the config blob: the identity that is checked and started, whatever the tag points at. */
  readonly digest: ImageId;
  readonly labels: ReadonlyMap<string, string>;
  /** Both present or the pull is anonymous. */
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** A virtual folder of the user. `name` is one safe path component. Source: 04 §7.4. */
export interface FolderMount {
  readonly name: string;
  readonly host: string;
  /** 32 hex digits. */
  readonly id: string;
  readonly permission: MountPermission;
}

/** A `create_kernel` request after parsing. Source: 04 §2. */
export interface KernelRequest {
  readonly kernelId: KernelId;
  readonly image: ImageRequest;
  readonly sessionType: SessionType;
  /** Amounts asked for; zero amounts are left out. `mem` includes {@linkcode shmemBytes}. */
  readonly slots: Slots;
  readonly shmemBytes: bigint;
  /** Seconds without use after which the kernel ends; 0 = never. */
  readonly idleTimeoutS: number;
  readonly mounts: readonly FolderMount[];
  readonly environ: ReadonlyMap<string, string>;
  readonly startupCommand: string | undefined;
  readonly blockServicePorts: boolean;
  readonly preventFolderMounts: boolean;
}

export type ServiceProtocol = "tcp" | "http" | "pty";

/** A network service inside the container, from the image's label. Source: 04 §10.2. */
export interface ServicePort {
  readonly name: string;
  readonly protocol: ServiceProtocol;
  readonly containerPorts: readonly number[];
}

/** A service and the host ports it is reached at, in the order of its container ports. */
export interface PublishedService extends ServicePort {
  readonly hostPorts: readonly number[];
}

/** Everything about a running kernel that must survive an agent restart. Stored as one versioned record. */
export interface KernelRecord {
  readonly kernelId: KernelId;
  readonly containerId: ContainerId;
  readonly imageRef: string;
  readonly imageId: ImageId;
  readonly sessionType: SessionType;
  readonly allocation: Allocation;
  readonly shmemBytes: bigint;
  readonly idleTimeoutS: number;
  /** Host address at which services are reached. */
  readonly kernelHost: string;
  /** Host ports of the runner's two sockets, on loopback. */
  readonly replInPort: number;
  readonly replOutPort: number;
  readonly services: readonly PublishedService[];
  /** Every host port held, the runner's included. */
  readonly hostPorts: readonly number[];
  readonly blockServicePorts: boolean;
  /** Wall-clock time of creation, ms since the epoch. */
  readonly createdAtMs: number;
}

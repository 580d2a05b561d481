/** Branded identifiers. A branded string can only be made by the function here that checks it. */
import { InvalidField, InvalidKernelId } from "./errors.ts";

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** This agent's name in the cluster: etcd node scope, event source, Redis key. At most 64 characters, no `/`. */
export type AgentId = Brand<string, "AgentId">;
/** One user environment. A hyphenated lower-case UUID; outlives agent restarts. */
export type KernelId = Brand<string, "KernelId">;
/** The engine's own name for a container, 64 hex digits. */
export type ContainerId = Brand<string, "ContainerId">;
/** Digest of an image's config blob, `sha256:` and 64 hex digits. */
export type ImageId = Brand<string, "ImageId">;
/** One run of user code in a kernel, chosen by the client: any text of 1 to 128 characters. */
export type RunId = Brand<string, "RunId">;

const HEX32 = /^[0-9a-f]{32}$/;

/**
 * Accepts what Python's `uuid.UUID(text)` accepts: hyphens anywhere, braces, a `urn:uuid:` prefix, any case.
 * @throws {InvalidKernelId} for anything else.
 */
export function parseKernelId(value: unknown): KernelId {
  if (typeof value !== "string" || value.length > 64) throw new InvalidKernelId();
  const hex = value.replace(/^urn:/, "").replace(/^uuid:/, "").replace(/^\{|\}$/g, "").replaceAll("-", "")
    .toLowerCase();
  if (!HEX32.test(hex)) throw new InvalidKernelId();
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return parts.join("-") as KernelId; // checked above
}

/** The kernel id without hyphens, as `kernel_id.txt` and the task log path have it. */
export function kernelIdHex(id: KernelId): string {
  return id.replaceAll("-", "");
}

/** @throws {InvalidField} unless `value` is 1 to 64 printable characters without `/` or blanks. */
export function parseAgentId(value: string): AgentId {
  if (!/^[\x21-\x2e\x30-\x7e]{1,64}$/.test(value)) {
    throw new InvalidField("agent.id", 'text of 1 to 64 printable characters without "/" or blanks', value);
  }
  return value as AgentId; // checked above
}

/** @throws {InvalidField} unless `value` is 64 hex digits. */
export function parseContainerId(value: unknown): ContainerId {
  if (typeof value !== "string" || !/^[0-9a-f]{64}$/.test(value)) {
    throw new InvalidField("container id", "64 hex digits", value);
  }
  return value as ContainerId; // checked above
}

/** @throws {InvalidField} unless `value` is `sha256:` and 64 hex digits. */
export function parseImageId(value: unknown, field = "image id"): ImageId {
  if (typeof value !== "string" || !/^sha256:[0-9a-f]{64}$/.test(value)) {
    throw new InvalidField(field, '"sha256:" and 64 hex digits', value);
  }
  return value as ImageId; // checked above
}

/** @throws {InvalidField} unless `value` is text of 1 to 128 characters. */
export function parseRunId(value: unknown): RunId {
  if (typeof value !== "string" || value.length === 0 || value.length > 128) {
    throw new InvalidField("run_id", "text of 1 to 128 characters", value);
  }
  return value as RunId; // checked above
}

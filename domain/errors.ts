/** Every failure that a caller can act on. One class a code; the wire names of the codes live in `adapters/rpc`. */

export type ErrorCode =
  | "invalid_kernel_id"
  | "invalid_field"
  | "kernel_not_found"
  | "kernel_exists"
  | "kernel_ended"
  | "creation_cancelled"
  | "unknown_run"
  | "too_many_runs"
  | "insufficient_slots"
  | "unknown_slot"
  | "insufficient_ports"
  | "image_not_found"
  | "image_pull_failed"
  | "container_not_found"
  | "runtime_unavailable"
  | "runtime_failed"
  | "config_store_unavailable"
  | "event_sink_unavailable"
  | "runner_unavailable"
  | "deadline_exceeded"
  | "not_supported"
  | "agent_stopping"
  | "start_failed";

/** Base of all failures with a meaning. Anything else that is thrown is a bug. */
export abstract class AgentError extends Error {
  abstract readonly code: ErrorCode;
  /** Whether the same call may succeed later without anybody changing it. */
  readonly retryable: boolean = false;
  override get name(): string {
    return this.constructor.name;
  }
}

export class InvalidKernelId extends AgentError {
  readonly code = "invalid_kernel_id";
  constructor() {
    super("badly formed hexadecimal UUID string"); // the original's words: 01 §5
  }
}

/** A value from outside does not have the form it must have. */
export class InvalidField extends AgentError {
  readonly code = "invalid_field";
  constructor(readonly field: string, readonly expected: string, readonly actual: unknown) {
    super(`Cannot use "${field}": expected ${expected}, got ${describe(actual)}`);
  }
}

/** The value as an operator may read it: its type, and the text itself when it is short. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string") {
    return value.length <= 80 ? JSON.stringify(value) : `text of ${value.length} characters`;
  }
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return value instanceof Uint8Array ? `${value.length} bytes` : "a map";
}

export class KernelNotFound extends AgentError {
  readonly code = "kernel_not_found";
  constructor(readonly kernelId: string) {
    super(`Cannot find kernel "${kernelId}": it is not running on this agent`);
  }
}

export class KernelExists extends AgentError {
  readonly code = "kernel_exists";
  constructor(readonly kernelId: string) {
    super(`Cannot create kernel "${kernelId}": it exists already`);
  }
}

/** The kernel ended while a call was waiting on it. */
export class KernelEnded extends AgentError {
  readonly code = "kernel_ended";
  constructor(readonly kernelId: string) {
    super(`Cannot go on with kernel "${kernelId}": it has ended`);
  }
}

export class CreationCancelled extends AgentError {
  readonly code = "creation_cancelled";
  constructor(readonly kernelId: string) {
    super(`Cannot create kernel "${kernelId}": it was destroyed meanwhile`);
  }
}

export class UnknownRun extends AgentError {
  readonly code = "unknown_run";
  constructor(readonly runId: string) {
    super(`Cannot continue run "${runId}": there is no such run`);
  }
}

export class TooManyRuns extends AgentError {
  readonly code = "too_many_runs";
  override readonly retryable = true;
  constructor(readonly limit: number) {
    super(`Cannot queue another run: ${limit} runs wait already`);
  }
}

export class InsufficientSlots extends AgentError {
  readonly code = "insufficient_slots";
  override readonly retryable = true;
  /** Amounts in the slot's base unit. */
  constructor(
    readonly device: string,
    readonly slot: string,
    readonly requested: bigint,
    readonly free: bigint,
    readonly kind: "discrete" | "fraction" = "discrete",
  ) {
    super(`Cannot allocate ${requested} of slot "${slot}": ${free} free`);
  }
}

export class UnknownSlot extends AgentError {
  readonly code = "unknown_slot";
  constructor(readonly slot: string) {
    super(`Cannot allocate slot "${slot}": this agent has no such device`);
  }
}

export class InsufficientPorts extends AgentError {
  readonly code = "insufficient_ports";
  override readonly retryable = true;
  constructor(readonly requested: number, readonly free: number) {
    super("Container ports are not sufficiently available."); // the original's words: 04 §3
  }
}

export class ImageNotFound extends AgentError {
  readonly code = "image_not_found";
  constructor(readonly image: string) {
    super(`Cannot find image "${image}" on this host`);
  }
}

export class ImagePullFailed extends AgentError {
  readonly code = "image_pull_failed";
  override readonly retryable = true;
  constructor(readonly image: string, readonly reason: string, options?: ErrorOptions) {
    super(`Cannot pull image "${image}": ${reason}`, options);
  }
}

export class ContainerNotFound extends AgentError {
  readonly code = "container_not_found";
  constructor(readonly containerId: string) {
    super(`Cannot find container "${containerId}"`);
  }
}

/** The container engine cannot be reached. */
export class RuntimeUnavailable extends AgentError {
  readonly code = "runtime_unavailable";
  override readonly retryable = true;
  constructor(readonly endpoint: string, options?: ErrorOptions) {
    super(`Cannot reach the container engine at "${endpoint}"`, options);
  }
}

/** The container engine answered that it will not do what was asked. */
export class RuntimeFailed extends AgentError {
  readonly code = "runtime_failed";
  /** @param status the engine's status code, e.g. 409; @param reason its own words */
  constructor(readonly attempt: string, readonly status: number, readonly reason: string) {
    super(`Cannot ${attempt}: the engine answered ${status}: ${reason}`);
  }
}

export class ConfigStoreUnavailable extends AgentError {
  readonly code = "config_store_unavailable";
  override readonly retryable = true;
  constructor(readonly attempt: string, options?: ErrorOptions) {
    super(`Cannot ${attempt}: the configuration store does not answer`, options);
  }
}

export class EventSinkUnavailable extends AgentError {
  readonly code = "event_sink_unavailable";
  override readonly retryable = true;
  constructor(readonly attempt: string, options?: ErrorOptions) {
    super(`Cannot ${attempt}: the event store does not answer`, options);
  }
}

/** The program inside the kernel's container cannot take what was to be sent. */
export class RunnerUnavailable extends AgentError {
  readonly code = "runner_unavailable";
  override readonly retryable = true;
  constructor(readonly reason: string, options?: ErrorOptions) {
    super(`Cannot reach the kernel runner: ${reason}`, options);
  }
}

export class DeadlineExceeded extends AgentError {
  readonly code = "deadline_exceeded";
  override readonly retryable = true;
  constructor(readonly attempt: string, readonly limitMs: number) {
    super(`Cannot ${attempt}: no result within ${limitMs} ms`);
  }
}

/** The manager may ask for it, but this version of the agent does not have it. */
export class NotSupported extends AgentError {
  readonly code = "not_supported";
  constructor(readonly feature: string) {
    super(`Cannot serve "${feature}": this version of the agent does not support it`);
  }
}

export class AgentStopping extends AgentError {
  readonly code = "agent_stopping";
  override readonly retryable = true;
  constructor() {
    super("Cannot start anything new: the agent is stopping");
  }
}

/** The agent cannot start; the message says what the operator has to change. */
export class StartFailed extends AgentError {
  readonly code = "start_failed";
  constructor(readonly reason: string, options?: ErrorOptions) {
    super(`Cannot start the agent: ${reason}`, options);
  }
}

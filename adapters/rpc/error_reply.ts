/** The only map from failures to what the manager is told. Source: 01 §6. */
import { AgentError, type ErrorCode, InsufficientSlots, RuntimeFailed } from "../../domain/errors.ts";
import { formatAmount, slotUnit } from "../../domain/resource/slots.ts";
import type { ErrorTriple } from "./codec.ts";

/** A request that cannot be bound to a method; answered before any use case runs. */
export class ParametersError extends Error {
  override readonly name = "ParametersError";
}

export class MethodNotFound extends Error {
  override readonly name = "MethodNotFound";
  constructor(readonly method: string) {
    super(`there is no method ${method}`);
  }
}

/**
 * The class that the manager's client builds from the reply: a built-in one from its own table, any other name becomes a
 * generic error that keeps it. Only classes whose constructor takes one text (01 §6.2).
 */
const WIRE_CLASS: Record<ErrorCode, string> = {
  invalid_kernel_id: "builtins.ValueError",
  invalid_field: "builtins.ValueError",
  kernel_not_found: "builtins.KeyError",
  kernel_exists: "builtins.RuntimeError",
  kernel_ended: "builtins.RuntimeError",
  creation_cancelled: "builtins.RuntimeError",
  unknown_run: "builtins.ValueError",
  too_many_runs: "builtins.RuntimeError",
  insufficient_slots: "ai.backend.agent.exception.InsufficientResource",
  unknown_slot: "builtins.KeyError",
  insufficient_ports: "builtins.RuntimeError",
  image_not_found: "builtins.RuntimeError",
  image_pull_failed: "builtins.RuntimeError",
  container_not_found: "builtins.RuntimeError",
  runtime_unavailable: "builtins.RuntimeError",
  runtime_failed: "aiodocker.exceptions.DockerError",
  config_store_unavailable: "builtins.RuntimeError",
  event_sink_unavailable: "builtins.RuntimeError",
  runner_unavailable: "builtins.RuntimeError",
  deadline_exceeded: "concurrent.futures._base.TimeoutError",
  not_supported: "builtins.NotImplementedError",
  agent_stopping: "builtins.RuntimeError",
  start_failed: "builtins.RuntimeError",
};

/** What a bug is called outside; its detail stays in the log. */
const INTERNAL: ErrorTriple = triple("builtins.RuntimeError", ["internal error of the agent"]);

/** The reply to a failed call. */
export function errorReply(error: unknown): ErrorTriple {
  if (error instanceof ParametersError) return triple("aiozmq.rpc.base.ParametersError", [wellFormed(error.message)]);
  if (error instanceof MethodNotFound) return triple("aiozmq.rpc.base.NotFoundError", [wellFormed(error.method)]);
  if (!(error instanceof AgentError)) return INTERNAL;
  const name = WIRE_CLASS[error.code];
  if (error instanceof InsufficientSlots) return triple(name, insufficientSlotsArgs(error));
  if (error instanceof RuntimeFailed) {
    return [name, [], `DockerError(${error.status}, ${pythonRepr(wellFormed(error.message))})`];
  }
  return error.code === "deadline_exceeded" ? triple(name, []) : triple(name, [wellFormed(error.message)]);
}

/** Whether the failure means that the agent itself is wrong. */
export function isBug(error: unknown): boolean {
  return !(error instanceof AgentError || error instanceof ParametersError || error instanceof MethodNotFound);
}

function insufficientSlotsArgs({ kind, device, slot, requested, free }: InsufficientSlots): readonly string[] {
  const map = kind === "discrete" ? "DiscretePropertyAllocMap" : "FractionAllocMap";
  const unit = slotUnit(slot);
  return [
    `${map}: insufficient allocatable amount!`,
    device,
    slot,
    formatAmount(requested, unit),
    formatAmount(free, unit),
  ];
}

function triple(name: string, args: readonly string[]): ErrorTriple {
  const shortName = name.slice(name.lastIndexOf(".") + 1);
  return [name, args, `${shortName}(${args.map(pythonRepr).join(", ")})`];
}

/** Text that UTF-8 can carry: the manager's decoder is strict. */
function wellFormed(text: string): string {
  return text.toWellFormed();
}

/** A text as Python's `repr` shows it: single quotes unless it holds only such. */
export function pythonRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  // deno-lint-ignore no-control-regex -- control characters are what has to be escaped
  const escaped = text.replace(/[\\\x00-\x1f\x7f]/g, escapeCharacter);
  return `${quote}${quote === "'" ? escaped.replaceAll("'", "\\'") : escaped}${quote}`;
}

function escapeCharacter(character: string): string {
  const known: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  return known[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** The methods of a 19.09 manager: parameters, and what they mean for the agent. Source: 01 §11. */
import { InvalidField, NotSupported } from "../../domain/errors.ts";
import { parseKernelId, parseRunId } from "../../domain/ids.ts";
import type { AgentService, ExecuteMode, ExecuteRequest } from "../../src/app/agent_service.ts";
import { isMap } from "./codec.ts";
import { parseCreationConfig } from "./creation_config.ts";
import type { Parameter } from "./parameters.ts";
import { creationReply, destroyReply, runReply } from "./replies.ts";

export interface Method {
  readonly parameters: readonly Parameter[];
  /** @param args one value a parameter, converted to its type; undefined for an optional one that was not given */
  call(args: readonly unknown[], signal: AbortSignal): unknown;
}

/** Methods by name. Another generation of managers gets a table of its own. */
export type MethodTable = ReadonlyMap<string, Method>;

const DEFAULT_DESTROY_REASON = "user-requested";
const RESET_REASON = "agent-reset";
const EXECUTE_MODES: readonly ExecuteMode[] = ["query", "batch", "input", "continue"];
/** 24 days: what a timer can hold. */
const MAX_FLUSH_S = 2_000_000;

const kernelId: Parameter = { name: "kernel_id", type: "str" };

export function methodTable(agent: AgentService): MethodTable {
  return new Map<string, Method>([
    ["ping", { parameters: [{ name: "msg", type: "str" }], call: ([text]) => text }],
    ["ping_kernel", { parameters: [kernelId], call: ([id]) => touch(agent, id) }],
    ["refresh_idle", { parameters: [kernelId], call: ([id]) => touch(agent, id) }],
    ["create_kernel", {
      parameters: [kernelId, { name: "config", type: "dict" }],
      call: async ([id, config], signal) =>
        creationReply(await agent.createKernel(parseCreationConfig(parseKernelId(id), config), signal)),
    }],
    ["destroy_kernel", {
      parameters: [kernelId, { name: "reason", type: "str", optional: true }],
      call: async ([id, reason], signal) =>
        destroyReply(await agent.destroyKernel(parseKernelId(id), destroyReason(reason), signal)),
    }],
    ["interrupt_kernel", {
      parameters: [kernelId],
      call: ([id]) => {
        agent.interruptKernel(parseKernelId(id));
        return null;
      },
    }],
    ["get_logs", {
      parameters: [kernelId],
      call: async ([id], signal) => ({ logs: (await agent.getLogs(parseKernelId(id), signal)).toWellFormed() }),
    }],
    ["execute", {
      parameters: ["kernel_id", "api_version", "run_id", "mode", "code", "opts", "flush_timeout"].map((name) => {
        return { name, type: "any" };
      }),
      call: async (args, signal) => runReply(await agent.execute(parseExecute(args), signal)),
    }],
    ["reset_agent", { parameters: [], call: (_, signal) => destroyAll(agent, RESET_REASON, signal) }],
    ["clean_all_kernels", {
      parameters: [{ name: "reason", type: "str", optional: true }],
      call: ([reason], signal) => destroyAll(agent, destroyReason(reason, RESET_REASON), signal),
    }],
    // Acknowledged without effect, as the original does: the agent's life is its init system's (01-D15).
    ["shutdown_agent", { parameters: [{ name: "terminate_kernels", type: "any", optional: true }], call: () => null }],
    ...LATER.map((name) => [name, notYet(name)] as const),
  ]);
}

/** Known to the manager, but not served yet. */
const LATER = [
  "get_completions",
  "restart_kernel",
  "start_service",
  "upload_file",
  "download_file",
  "list_files",
] as const;

/** Takes any arguments: that the method is missing matters more than how it was called. */
function notYet(name: string): Method {
  const parameters = Array.from({ length: 4 }, (_, i): Parameter => ({ name: `arg${i}`, type: "any", optional: true }));
  return {
    parameters,
    call: () => {
      throw new NotSupported(name);
    },
  };
}

function touch(agent: AgentService, id: unknown): null {
  agent.touch(parseKernelId(id));
  return null;
}

async function destroyAll(agent: AgentService, reason: string, signal: AbortSignal): Promise<null> {
  await agent.destroyAll(reason, signal);
  return null;
}

/** An empty reason is none (01 §11.4). */
function destroyReason(value: unknown, fallback = DEFAULT_DESTROY_REASON): string {
  return typeof value === "string" && value !== "" ? value.slice(0, 256) : fallback;
}

/** Source: 01 §11.9. @throws {InvalidField} naming the parameter */
function parseExecute([id, apiVersion, runId, mode, code, options, flushTimeout]: readonly unknown[]): ExecuteRequest {
  if (typeof apiVersion !== "number" || !Number.isInteger(apiVersion) || apiVersion < 1) {
    throw new InvalidField("api_version", "a whole number from 1", apiVersion);
  }
  const knownMode = EXECUTE_MODES.find((name) => name === mode);
  if (knownMode === undefined) throw new InvalidField("mode", `one of ${EXECUTE_MODES.join(", ")}`, mode);
  if (code !== null && typeof code !== "string") throw new InvalidField("code", "text", code);
  return {
    kernelId: parseKernelId(id),
    runId: runId === null ? null : parseRunId(runId),
    apiVersion,
    mode: knownMode,
    code: code ?? "",
    options: knownMode === "batch" ? parseBatch(options) : {},
    flushTimeoutMs: parseFlushTimeout(flushTimeout),
  };
}

function parseBatch(value: unknown): ExecuteRequest["options"] {
  if (value === null) return {};
  if (!isMap(value)) throw new InvalidField("opts", "a map", value);
  const steps: Record<string, string> = {};
  for (const name of ["clean", "build", "exec"]) {
    const command = value[name] ?? "";
    if (typeof command !== "string") throw new InvalidField(`opts.${name}`, "text", command);
    if (command !== "") steps[name] = command;
  }
  return steps;
}

/** Seconds to milliseconds. */
function parseFlushTimeout(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== "number" || !(value >= 0)) throw new InvalidField("flush_timeout", "seconds, or null", value);
  return Math.min(value, MAX_FLUSH_S) * 1_000;
}

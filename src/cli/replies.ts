/** What the agent answers, taken apart and checked. Pure. Source: 01 §11.3, §11.9. */
import { CommandFailed } from "./failure.ts";

export interface CreatedReply {
  readonly kernelId: string;
  readonly containerId: string;
  readonly services: readonly { readonly name: string; readonly hostPorts: readonly number[] }[];
}

export type ConsoleItem = readonly [kind: string, data: unknown];

export interface RunReply {
  readonly runId: string;
  readonly status: string;
  readonly exitCode: number | null;
  readonly isPassword: boolean;
  readonly console: readonly ConsoleItem[];
}

export function readCreated(reply: unknown): CreatedReply {
  const map = record(reply, "create_kernel");
  return {
    kernelId: text(map["id"], "id"),
    containerId: text(map["container_id"], "container_id"),
    services: list(map["service_ports"] ?? [], "service_ports").map((item) => {
      const service = record(item, "service_ports");
      return {
        name: text(service["name"], "name"),
        hostPorts: list(service["host_ports"] ?? [], "host_ports").map(Number),
      };
    }),
  };
}

/** A nil reply means that the kernel is gone. */
export function readRun(reply: unknown): RunReply {
  if (reply === null) throw new CommandFailed("the kernel has ended");
  const map = record(reply, "execute");
  const exitCode = map["exitCode"];
  return {
    runId: text(map["runId"], "runId"),
    status: text(map["status"], "status"),
    exitCode: typeof exitCode === "number" ? exitCode : null,
    isPassword: isRecord(map["options"]) && map["options"]["is_password"] === true,
    console: list(map["console"] ?? [], "console").map((item) => {
      const [kind, data] = list(item, "console item");
      return [text(kind, "console item"), data] as const;
    }),
  };
}

export function readLogs(reply: unknown): string {
  return text(record(reply, "get_logs")["logs"], "logs");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw new CommandFailed(`the agent's answer is not understood: "${what}" is not a map`);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new CommandFailed(`the agent's answer is not understood: "${what}" is not an array`);
}

function text(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw new CommandFailed(`the agent's answer is not understood: "${what}" is not text`);
}

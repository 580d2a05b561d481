/** The record of a kernel as text, and back. Pure. */
import { InvalidField } from "../../domain/errors.ts";
import { parseContainerId, parseImageId, parseKernelId } from "../../domain/ids.ts";
import type { KernelRecord, PublishedService } from "../../domain/kernel/kernel_request.ts";
import type { Allocation } from "../../domain/resource/ledger.ts";

/** Raised when a file of this version can no longer be understood by the code that reads it. */
const VERSION = 1;

/** JSON; amounts, which may be larger than a JSON number can hold exactly, are decimal text. */
export function encodeRecord(record: KernelRecord): string {
  const allocation = Object.fromEntries(
    [...record.allocation].map(([slot, devices]) => [
      slot,
      Object.fromEntries([...devices].map(([device, amount]) => [device, amount.toString()])),
    ]),
  );
  const shmemBytes = record.shmemBytes.toString();
  return `${JSON.stringify({ version: VERSION, ...record, allocation, shmemBytes }, undefined, 2)}\n`;
}

/** @throws {InvalidField} naming the first thing that is not as {@linkcode encodeRecord} writes it. */
export function decodeRecord(text: string): KernelRecord {
  const json = tableOf(parseJson(text), "record");
  const version = json["version"];
  if (version !== VERSION) throw new InvalidField("version", String(VERSION), version);
  return {
    kernelId: parseKernelId(json["kernelId"]),
    containerId: parseContainerId(json["containerId"]),
    imageRef: textOf(json["imageRef"], "imageRef"),
    imageId: parseImageId(json["imageId"], "imageId"),
    sessionType: oneOf(json["sessionType"], "sessionType", ["interactive", "batch"]),
    allocation: allocationOf(json["allocation"]),
    shmemBytes: amountOf(json["shmemBytes"], "shmemBytes"),
    idleTimeoutS: countOf(json["idleTimeoutS"], "idleTimeoutS"),
    kernelHost: textOf(json["kernelHost"], "kernelHost"),
    replInPort: portOf(json["replInPort"], "replInPort"),
    replOutPort: portOf(json["replOutPort"], "replOutPort"),
    services: listOf(json["services"], "services").map(serviceOf),
    hostPorts: portsOf(json["hostPorts"], "hostPorts"),
    blockServicePorts: booleanOf(json["blockServicePorts"], "blockServicePorts"),
    createdAtMs: countOf(json["createdAtMs"], "createdAtMs"),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidField("record", "JSON", text); // a partial file, most likely
  }
}

function allocationOf(value: unknown): Allocation {
  const slots = Object.entries(tableOf(value, "allocation")).map(([slot, devices]) => {
    const field = `allocation.${slot}`;
    const amounts = Object.entries(tableOf(devices, field)).map(([device, amount]) => {
      return [device, amountOf(amount, `${field}.${device}`)] as const;
    });
    return [slot, new Map(amounts)] as const;
  });
  return new Map(slots);
}

function serviceOf(value: unknown, index: number): PublishedService {
  const field = `services.${index}`;
  const service = tableOf(value, field);
  return {
    name: textOf(service["name"], `${field}.name`),
    protocol: oneOf(service["protocol"], `${field}.protocol`, ["tcp", "http", "pty"]),
    containerPorts: portsOf(service["containerPorts"], `${field}.containerPorts`),
    hostPorts: portsOf(service["hostPorts"], `${field}.hostPorts`),
  };
}

function tableOf(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidField(field, "a map", value);
  }
  return value as Readonly<Record<string, unknown>>; // JSON objects have text keys only
}

function listOf(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new InvalidField(field, "an array", value);
  return value;
}

function textOf(value: unknown, field: string): string {
  if (typeof value !== "string" || value === "") throw new InvalidField(field, "text", value);
  return value;
}

function booleanOf(value: unknown, field: string): boolean {
  if (typeof value !== "boolean") throw new InvalidField(field, "true or false", value);
  return value;
}

function countOf(value: unknown, field: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidField(field, "a whole number, not negative", value);
  }
  return value;
}

function amountOf(value: unknown, field: string): bigint {
  if (typeof value !== "string" || !/^\d{1,40}$/.test(value)) throw new InvalidField(field, "decimal digits", value);
  return BigInt(value);
}

function portOf(value: unknown, field: string): number {
  const port = countOf(value, field);
  if (port < 1 || port > 65_535) throw new InvalidField(field, "a port number", value);
  return port;
}

function portsOf(value: unknown, field: string): readonly number[] {
  return listOf(value, field).map((port) => portOf(port, field));
}

function oneOf<const T extends string>(value: unknown, field: string, choices: readonly T[]): T {
  const choice = choices.find((it) => it === value);
  if (choice === undefined) throw new InvalidField(field, choices.join(" or "), value);
  return choice;
}

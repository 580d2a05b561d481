/** Network services of an image. Source: 04 §10.2. */
import { InvalidField } from "../errors.ts";
import type { ServicePort, ServiceProtocol } from "../kernel/kernel_request.ts";
import { SERVICE_PORTS_LABEL } from "./labels.ts";

/** Services that every kernel has, whatever its image; always before those of the label. */
export const INTRINSIC_SERVICES: readonly ServicePort[] = [
  { name: "sshd", protocol: "tcp", containerPorts: [2200] },
  { name: "ttyd", protocol: "http", containerPorts: [7681] },
];

const SERVICE = /^([\p{L}\p{N}_]+):([\p{L}\p{N}_]+):(\d+|\[\d+(?:\s*,\s*\d+)*\])$/u;
/** Commas outside brackets. */
const BETWEEN_SERVICES = /,(?![^[\]]*\])/;
const PROTOCOLS: readonly ServiceProtocol[] = ["tcp", "http", "pty"];
/** Ports of the runner. */
const RUNNER_PORTS = [2000, 2001, 2002, 2003];

/**
 * Reads `NAME:PROTO:PORT` or `NAME:PROTO:[PORT,…]`, comma-separated; blanks around a service and empty parts are
 * skipped. The intrinsic services are not in the result.
 * @throws {InvalidField} for a part that does not match (04-D28), and for a port that is reserved, out of 1025 to
 * 65535, taken by an intrinsic service (04-D27) or named twice.
 */
export function parseServicePorts(label: string): readonly ServicePort[] {
  const used = new Set([...RUNNER_PORTS, ...INTRINSIC_SERVICES.flatMap((service) => service.containerPorts)]);
  return label.split(BETWEEN_SERVICES).map((part) => part.trim()).filter((part) => part !== "")
    .map((part) => parseService(part, used));
}

function parseService(part: string, used: Set<number>): ServicePort {
  const [, name = "", protocolText, ports = ""] = SERVICE.exec(part) ?? [];
  if (name === "") throw refuse("NAME:PROTOCOL:PORT or NAME:PROTOCOL:[PORT,PORT]", part);
  const protocol = PROTOCOLS.find((known) => known === protocolText);
  if (protocol === undefined) throw refuse(`a protocol of ${PROTOCOLS.join(", ")}`, part);
  const containerPorts = ports.replace(/[[\]]/g, "").split(",").map((port) => takePort(Number(port), part, used));
  return { name, protocol, containerPorts };
}

function takePort(port: number, part: string, used: Set<number>): number {
  if (port <= 1024 || port > 65535) throw refuse("ports from 1025 to 65535", part);
  if (used.has(port)) throw refuse("ports that are neither reserved (2000 to 2003, 2200, 7681) nor named twice", part);
  used.add(port);
  return port;
}

function refuse(expected: string, part: string): InvalidField {
  return new InvalidField(SERVICE_PORTS_LABEL, expected, part);
}

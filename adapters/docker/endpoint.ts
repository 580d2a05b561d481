import { StartFailed } from "../../domain/errors.ts";

/** Where an engine listens. */
export type Endpoint =
  | { readonly transport: "unix"; readonly path: string }
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number };

/** Port of an engine without TLS when `DOCKER_HOST` names none. Source: Docker CLI reference, `DOCKER_HOST`. */
const DEFAULT_TCP_PORT = 2375;

/**
 * The engine that `DOCKER_HOST` names, else the first of the usual sockets that exists. Source: 04 §1.
 * @throws {StartFailed} for anything but `unix:///path` and `tcp://host[:port]`.
 */
export function engineEndpoint(dockerHost: string | undefined, exists = isSocket): Endpoint {
  if (dockerHost === undefined || dockerHost === "") {
    return { transport: "unix", path: exists("/run/docker.sock") ? "/run/docker.sock" : "/var/run/docker.sock" };
  }
  const unix = /^unix:\/\/(\/.+)$/.exec(dockerHost)?.[1];
  if (unix !== undefined) return { transport: "unix", path: unix };
  const tcp = /^tcp:\/\/([^/]+)\/?$/.exec(dockerHost)?.[1];
  const url = tcp === undefined ? null : URL.parse(`http://${tcp}`);
  if (url === null || url.hostname === "") {
    throw new StartFailed(`DOCKER_HOST is "${dockerHost}", expected unix:///path or tcp://host:port`);
  }
  // `new URL` drops the port 80 of `http:`, which may be meant.
  const port = url.port !== "" ? Number(url.port) : /:80$/.test(tcp ?? "") ? 80 : DEFAULT_TCP_PORT;
  return { transport: "tcp", hostname: url.hostname.replace(/^\[|\]$/g, ""), port };
}

/** The endpoint as `DOCKER_HOST` would name it. */
export function endpointText(endpoint: Endpoint): string {
  if (endpoint.transport === "unix") return `unix://${endpoint.path}`;
  const host = endpoint.hostname.includes(":") ? `[${endpoint.hostname}]` : endpoint.hostname;
  return `tcp://${host}:${endpoint.port}`;
}

function isSocket(path: string): boolean {
  try {
    return Deno.statSync(path).isSocket === true;
  } catch {
    return false;
  }
}

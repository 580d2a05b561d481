/** Looks an image up on the local Docker Engine: a manager would send its id and labels along, so the client has to. */
import { request } from "node:http";
import { parseImageId } from "../../domain/ids.ts";
import type { CreationOptions } from "./creation_config.ts";
import { parseImageRef, shortName } from "../../domain/image/image_ref.ts";
import { CommandFailed, EXIT } from "./failure.ts";

type Endpoint = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** `unix://PATH` or `tcp://HOST:PORT`. */
export function parseEngineEndpoint(text: string): Endpoint {
  const tcp = /^tcp:\/\/(\[[^\]]+\]|[^:/]+):(\d+)\/?$/.exec(text);
  if (tcp !== null) return { host: (tcp[1] ?? "").replace(/^\[|\]$/g, ""), port: Number(tcp[2]) };
  if (text.startsWith("unix://")) return { socketPath: text.slice("unix://".length) };
  throw new CommandFailed(`cannot use DOCKER_HOST "${text}": expected unix://PATH or tcp://HOST:PORT`, EXIT.usage);
}

/** @throws {CommandFailed} if the engine does not answer or has no such image. */
export async function findLocalImage(
  name: string,
  engine: string,
  signal: AbortSignal,
): Promise<CreationOptions["image"]> {
  const ref = parseImageRef(name);
  // The name as it was typed first: the rules for names without an owner differ between manager and engine.
  for (const candidate of new Set([name, shortName(ref)])) {
    const reply = await getJson(parseEngineEndpoint(engine), `/images/${encodeURI(candidate)}/json`, engine, signal);
    if (reply !== undefined) return { ref, ...readImage(reply) };
  }
  throw new CommandFailed(`there is no image "${name}" on the engine at ${engine}; pull it or build it first`);
}

function readImage(reply: unknown): { id: CreationOptions["image"]["id"]; labels: Record<string, string> } {
  const { Id, Config } = reply as { Id?: unknown; Config?: { Labels?: unknown } | null }; // every field is checked below
  const labels = Object.entries(Config?.Labels ?? {}).filter((entry): entry is [string, string] =>
    typeof entry[1] === "string"
  );
  return { id: parseImageId(Id), labels: Object.fromEntries(labels) };
}

/** undefined: the engine knows nothing under that path. */
function getJson(endpoint: Endpoint, path: string, engine: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(
        signal.aborted
          ? signal.reason
          : new CommandFailed(`no Docker Engine answers at ${engine}`, EXIT.unreachable, { cause }),
      );
    const sent = request({ ...endpoint, path, signal, headers: { host: "engine" } }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => body += text);
      response.on("error", fail);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(body));
        else if (response.statusCode === 404) resolve(undefined);
        else reject(new CommandFailed(`the engine at ${engine} answered ${response.statusCode}: ${body.trim()}`));
      });
    });
    sent.on("error", fail);
    sent.end();
  });
}

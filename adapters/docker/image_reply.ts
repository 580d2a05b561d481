import { type ImageId, parseImageId } from "../../domain/ids.ts";
import type { LocalImage } from "../../domain/kernel/events.ts";
import type { ImageDetails, RegistryCredentials } from "../../src/ports/image_store.ts";
import { ReplyValue } from "./reply.ts";

/** Reply of `GET /images/{name}/json`. */
export function decodeImage(reply: ReplyValue): ImageDetails {
  return { id: parseImageId(reply.at("Id").unknown), labels: reply.at("Config").at("Labels").texts };
}

/** Reply of `GET /images/json`. An image without a tag has no tags, or the one that engines before 24 make up for it. */
export function decodeImages(reply: ReplyValue): readonly LocalImage[] {
  return reply.list.flatMap((item) => {
    const id: ImageId = parseImageId(item.at("Id").unknown);
    return item.at("RepoTags").list.map(({ text }) => text)
      .filter((tag) => !tag.includes("<none>"))
      .map((tag) => ({ tag, id }));
  });
}

/** The error in one message of the stream of `POST /images/create`, if it is one. Source: 04-D9. */
export function decodePullError(message: ReplyValue): string | undefined {
  const detail = message.at("errorDetail");
  if (!detail.absent && !detail.at("message").absent) return detail.at("message").text;
  return message.at("error").absent ? undefined : message.at("error").text;
}

/**
 * Query of `POST /images/create`. A reference without tag and digest would fetch every tag of the repository.
 * Source: Engine API, ImageCreate.
 */
export function pullQuery(reference: string): Record<string, string> {
  const name = reference.slice(reference.lastIndexOf("/") + 1);
  return { fromImage: reference, ...(/[:@]/.test(name) ? {} : { tag: "latest" }) };
}

/**
 * The `X-Registry-Auth` header. Base64 of the URL alphabet: an engine that cannot decode it pulls without credentials and
 * does not say so. Source: 04 §6.3; Engine API, "Authentication".
 */
export function registryAuth(reference: string, { username, password }: RegistryCredentials): string {
  const [serveraddress] = reference.split("/", 1);
  const bytes = new TextEncoder().encode(JSON.stringify({ username, password, email: null, serveraddress }));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

/** What stands at a path in a container. */
export interface PathStat {
  readonly kind: "file" | "symlink" | "other";
  /** Where a symlink leads in the end, as an absolute path. */
  readonly linkTarget: string;
}

/** Go's `fs.FileMode`: the bits of everything that is no regular file, and that of a symbolic link. */
const GO_MODE_TYPE = 0x8f280000;
const GO_MODE_SYMLINK = 0x08000000;

/** The `X-Docker-Container-Path-Stat` header of the archive endpoint: base64 of JSON. Source: Engine API, ContainerArchive. */
export function decodePathStat(header: string | null): PathStat {
  const stat = new ReplyValue(JSON.parse(new TextDecoder().decode(fromBase64(header ?? ""))), "path stat");
  // JavaScript's bit operators are signed: only "none set" and "some set" may be asked of bit 31.
  const type = stat.at("mode").integer & GO_MODE_TYPE;
  const kind = type === 0 ? "file" : (type & GO_MODE_SYMLINK) !== 0 ? "symlink" : "other";
  return { kind, linkTarget: stat.at("linkTarget").absent ? "" : stat.at("linkTarget").text };
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}

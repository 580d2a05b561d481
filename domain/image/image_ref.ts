/** Names of images. Source: 04 §6.1, 02 §4.1. */
import { InvalidField } from "../errors.ts";

/** A parsed image name; `registry` and `tag` are always filled in. */
export interface ImageRef {
  readonly registry: string;
  /** Path within the registry, e.g. `lablup/python`. */
  readonly name: string;
  readonly tag: string;
}

const DEFAULT_REGISTRY = "index.docker.io";
const DEFAULT_TAG = "latest";
const DEFAULT_OWNER = "lablup";
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const NAME = /^[^\s/@\p{Cc}]+(?:\/[^\s/@\p{Cc}]+)*$/u;
const IP_LITERAL = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\])(?::\d{1,5})?$/;

/**
 * Reads `[registry/]name[:tag]`. The first component is a registry only if it is the default one, one of
 * `knownRegistries`, or an IP literal; else it is part of the name.
 * @throws {InvalidField} for a name or tag that no engine takes, digests included.
 */
export function parseImageRef(text: string, knownRegistries: Iterable<string> = []): ImageRef {
  const [registry, rest] = splitRegistry(text, knownRegistries);
  // A colon before a slash belongs to a host, not to a tag.
  const colon = rest.indexOf(":", rest.lastIndexOf("/") + 1);
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? DEFAULT_TAG : rest.slice(colon + 1);
  if (text.length > 512 || !NAME.test(path) || !TAG.test(tag)) {
    throw new InvalidField("image", "an image name such as registry/name:tag", text);
  }
  const owned = path.includes("/") || !isDockerHub(registry);
  return { registry, name: owned ? path : `${DEFAULT_OWNER}/${path}`, tag };
}

/** `registry/name:tag`. */
export function canonicalName(ref: ImageRef): string {
  return `${ref.registry}/${shortName(ref)}`;
}

/** `name:tag`. */
export function shortName(ref: ImageRef): string {
  return `${ref.name}:${ref.tag}`;
}

/** The name's last path component: `python` of `lablup/python`. */
export function lastPathPart(ref: ImageRef): string {
  return ref.name.slice(ref.name.lastIndexOf("/") + 1);
}

const MANAGER_TAG = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;
const PLATFORM_PART = /^([A-Za-z]+)(?:\d+(?:\.\d+)*[a-z0-9]*)?$/;

/**
 * Whether the manager can parse this tag as the engine reports it. One that it cannot parse would fail the update of
 * every image of this agent, on every heartbeat (02-D13).
 */
export function isManagerReadableTag(repoTag: string): boolean {
  const colon = repoTag.lastIndexOf(":");
  const name = colon < 0 ? repoTag : repoTag.slice(0, colon);
  const tag = colon < 0 ? DEFAULT_TAG : repoTag.slice(colon + 1);
  if (name === "" || !MANAGER_TAG.test(tag)) return false;
  const words = new Set<string>();
  for (const part of tag.split("-").slice(1)) {
    const word = PLATFORM_PART.exec(part)?.[1];
    if (word === undefined || words.has(word)) return false;
    words.add(word);
  }
  return true;
}

function splitRegistry(text: string, knownRegistries: Iterable<string>): readonly [string, string] {
  const slash = text.indexOf("/");
  const host = slash < 0 ? "" : text.slice(0, slash);
  const isRegistry = host === DEFAULT_REGISTRY || IP_LITERAL.test(host) ||
    (host !== "" && contains(knownRegistries, host));
  return isRegistry ? [host, text.slice(slash + 1)] : [DEFAULT_REGISTRY, text];
}

function contains(values: Iterable<string>, wanted: string): boolean {
  for (const value of values) if (value === wanted) return true;
  return false;
}

function isDockerHub(registry: string): boolean {
  return registry === "docker.io" || registry.endsWith(".docker.io");
}

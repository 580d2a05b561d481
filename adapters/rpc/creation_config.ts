/** The `config` argument of `create_kernel`, as a manager or anybody else who reaches the port sends it. Source: 04 §2. */
import { InvalidField, NotSupported } from "../../domain/errors.ts";
import { type KernelId, parseImageId } from "../../domain/ids.ts";
import { type ImageRef, parseImageRef } from "../../domain/image/image_ref.ts";
import type {
  FolderMount,
  ImageRequest,
  KernelRequest,
  MountPermission,
  SessionType,
} from "../../domain/kernel/kernel_request.ts";
import { parseBinarySize } from "../../domain/resource/binary_size.ts";
import { parseSlots, type Slots } from "../../domain/resource/slots.ts";
import { checkText, isRecord, MapReader } from "./map_reader.ts";

const ROOT = "config";
const NAME_CHARACTERS = 1_024;
const TEXT_CHARACTERS = 128 * 1_024;
const MAX_LABELS = 1_000;
/** A `/` in a label's name makes one level. */
const MAX_LABEL_LEVELS = 16;
const MAX_SLOTS = 256;
const MAX_MOUNTS = 256;
const MAX_VARIABLES = 1_000;
/** Linux starts no program with a longer `NAME=value` (MAX_ARG_STRLEN, its end included). */
const VARIABLE_BYTES = 128 * 1_024 - 1;
/** Half of what Linux passes to a program with its usual stack limit; the rest is for the agent's own and arguments. */
const ENVIRON_BYTES = 1_024 * 1_024;
/** Longest file name on every usual file system. */
const COMPONENT_BYTES = 255;

/**
 * Reads a creation config. Unknown keys are ignored.
 * @throws {InvalidField} naming the field, `config.image.digest`. @throws {NotSupported} for domain socket proxies.
 */
export function parseCreationConfig(kernelId: KernelId, value: unknown): KernelRequest {
  const config = new MapReader(value, ROOT);
  const slots = parseRequestedSlots(config);
  const internal = config.optionalMap("internal_data");
  refuseSocketProxies(internal);
  return {
    kernelId,
    image: parseImage(config.map("image")),
    sessionType: parseSessionType(config),
    slots,
    shmemBytes: parseSharedMemory(config, slots),
    idleTimeoutS: config.optionalCount("idle_timeout") ?? 0,
    mounts: parseMounts(config),
    environ: parseEnviron(config.optionalMap("environ")),
    startupCommand: config.optionalText("startup_command", TEXT_CHARACTERS),
    blockServicePorts: internal?.optionalFlag("block_service_ports") ?? false,
    preventFolderMounts: internal?.optionalFlag("prevent_vfolder_mounts") ?? false,
  };
}

function parseImage(image: MapReader): ImageRequest {
  const registry = image.map("registry");
  registry.optionalText("url", NAME_CHARACTERS);
  image.optionalText("repo_digest", NAME_CHARACTERS);
  const username = registry.optionalText("username", NAME_CHARACTERS);
  const password = registry.optionalText("password", TEXT_CHARACTERS); // some registries' tokens are long
  return {
    ref: parseCanonicalName(image, registry.text("name", NAME_CHARACTERS)),
    digest: parseImageId(image.value("digest"), image.pathOf("digest")),
    labels: parseLabels(image.map("labels")),
    ...(username && password ? { credentials: { username, password } } : {}),
  };
}

/** The registry that the manager names is one, whatever it looks like. */
function parseCanonicalName(image: MapReader, registry: string): ImageRef {
  const text = image.text("canonical", NAME_CHARACTERS);
  try {
    return parseImageRef(text, [registry]);
  } catch (error) {
    if (!(error instanceof InvalidField)) throw error;
    throw new InvalidField(image.pathOf("canonical"), error.expected, error.actual); // it does not know where the text came from
  }
}

/**
 * The manager keeps labels in etcd, where a `/` in a name makes a nested map: `{"com/a": "1"}` arrives as
 * `{"com": {"a": "1"}}`, and a name that is also a prefix of others has its own value under the empty name (03 §1).
 */
function parseLabels(root: MapReader): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  const collect = (level: MapReader, prefix: string, depth: number) => {
    for (const [key, value] of level.entries(MAX_LABELS)) {
      const name = key === "" ? prefix : prefix === "" ? key : `${prefix}/${key}`;
      const path = level.pathOf(key);
      if (name.length > NAME_CHARACTERS) throw new InvalidField(root.path, "shorter label names", name);
      if (isRecord(value)) {
        if (depth === MAX_LABEL_LEVELS) throw new InvalidField(path, `at most ${MAX_LABEL_LEVELS} levels`, value);
        collect(new MapReader(value, path), name, depth + 1);
      } else if (name !== "") {
        labels.set(name, checkText(value, path, TEXT_CHARACTERS));
      }
    }
    if (labels.size > MAX_LABELS) throw new InvalidField(root.path, `at most ${MAX_LABELS} labels`, [...labels]);
  };
  collect(root, "", 1);
  return labels;
}

function parseSessionType(config: MapReader): SessionType {
  const value = config.value("session_type");
  if (value === "interactive" || value === "batch") return value;
  throw new InvalidField(config.pathOf("session_type"), '"interactive" or "batch"', value);
}

/** Every kernel needs a processor and memory: the engine reads "0" as "no limit" (04-D44). */
function parseRequestedSlots(config: MapReader): Slots {
  const field = config.map("resource_slots");
  field.entries(MAX_SLOTS);
  const slots = parseSlots(config.value("resource_slots"), field.path);
  for (const name of ["cpu", "mem"]) {
    if (!slots.has(name)) throw new InvalidField(field.pathOf(name), "an amount above 0", field.value(name));
  }
  return slots;
}

/** The shared memory is a part of the memory that was asked for. */
function parseSharedMemory(config: MapReader, slots: Slots): bigint {
  const options = config.optionalMap("resource_opts");
  const value = options?.value("shmem") ?? 0;
  const path = `${ROOT}.resource_opts.shmem`;
  const bytes = parseBinarySize(value, path);
  if (bytes >= (slots.get("mem") ?? 0n)) throw new InvalidField(path, 'less than "mem"', value);
  return bytes;
}

function parseMounts(config: MapReader): readonly FolderMount[] {
  return config.optionalArray("mounts", MAX_MOUNTS).map((entry, index) => {
    return parseMount(entry, `${config.pathOf("mounts")}.${index}`);
  });
}

function parseMount(entry: unknown, path: string): FolderMount {
  if (!Array.isArray(entry) || entry.length < 3 || entry.length > 4) {
    throw new InvalidField(path, "[name, host, id, permission]", entry);
  }
  const [name, host, id, permission]: readonly unknown[] = entry;
  if (typeof id !== "string" || !/^[0-9a-f]{32}$/.test(id)) throw new InvalidField(`${path}.2`, "32 hex digits", id);
  return {
    name: parsePathComponent(name, `${path}.0`),
    host: parsePathComponent(host, `${path}.1`),
    id,
    permission: entry.length === 3 ? "rw" : parsePermission(permission, `${path}.3`),
  };
}

/** One component that stays where it is put (04-D43) and does not break mount texts (04-D14). */
function parsePathComponent(value: unknown, path: string): string {
  const text = checkText(value, path, COMPONENT_BYTES);
  const unsafe = text === "" || text === "." || text === ".." || /[/:,\p{Cc}]/u.test(text);
  if (unsafe || utf8Length(text) > COMPONENT_BYTES) {
    throw new InvalidField(path, 'one path component without ":", "," and control characters', value);
  }
  return text;
}

function parsePermission(value: unknown, path: string): MountPermission {
  if (value === "ro" || value === "rw") return value;
  if (value === "wd") return "rw"; // the right to delete is the manager's business: 04 §7.4
  throw new InvalidField(path, '"ro", "rw" or "wd"', value);
}

/** Values may have line breaks, a certificate for example: `environ.txt` leaves those variables out (04-D14, 04 §7.1). */
function parseEnviron(environ: MapReader | undefined): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  let totalBytes = 0;
  for (const [name, value] of environ?.entries(MAX_VARIABLES) ?? []) {
    const path = `${ROOT}.environ`;
    if (!/^[^=\0\r\n]+$/.test(name)) throw new InvalidField(path, "names of variables", name);
    const text = checkText(value, environ?.pathOf(name) ?? path, TEXT_CHARACTERS);
    const bytes = utf8Length(name) + 1 + utf8Length(text);
    if (bytes > VARIABLE_BYTES) throw new InvalidField(path, `variables of at most ${VARIABLE_BYTES} bytes`, text);
    totalBytes += bytes;
    variables.set(name, text);
  }
  if (totalBytes <= ENVIRON_BYTES) return variables;
  throw new InvalidField(`${ROOT}.environ`, `at most ${ENVIRON_BYTES} bytes together`, totalBytes);
}

/** An image-import session is of no use without its sockets: better no kernel than one that fails later. */
function refuseSocketProxies(internal: MapReader | undefined): void {
  const proxies = internal?.optionalArray("domain_socket_proxies", MAX_MOUNTS) ?? [];
  if (proxies.length > 0) throw new NotSupported("internal_data.domain_socket_proxies");
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

import { ImageNotFound, ImagePullFailed, InvalidField, RuntimeFailed } from "../../domain/errors.ts";
import { type AgentId, type ContainerId, type ImageId, parseContainerId } from "../../domain/ids.ts";
import type { LocalImage } from "../../domain/kernel/events.ts";
import type { ImageDetails, ImageStore, RegistryCredentials } from "../../src/ports/image_store.ts";
import type { Log } from "../../src/ports/log.ts";
import { decodeCreated } from "./container_reply.ts";
import { type EngineClient, type EngineStream, UNCANCELLED } from "./engine_client.ts";
import { decodeImage, decodeImages, decodePathStat, decodePullError, pullQuery, registryAuth } from "./image_reply.ts";
import { jsonLines } from "./json_lines.ts";
import { filters, KERNEL_IMAGE_LABEL, READER_LABEL, READER_RUN_LABEL } from "./labels.ts";
import { ReplyValue } from "./reply.ts";
import { firstFile } from "./tar_entry.ts";

/** Most that is read of one file in an image. */
const MAX_FILE_BYTES = 1024 * 1024;
/** The file's header and the records before it, beside its content. */
const MAX_ARCHIVE_BYTES = MAX_FILE_BYTES + 64 * 1024;
/** Longest silence of a pull. A pull itself may take any time (04 §6.3), but while it goes on the engine reports progress. */
const PULL_IDLE_MS = 600_000;
/** Longest silence while a file is read. */
const READ_IDLE_MS = 30_000;

/** {@linkcode ImageStore} over the Docker Engine API, v1.35 to v1.51. */
export class DockerImages implements ImageStore {
  readonly #client: EngineClient;
  readonly #agentId: AgentId;
  readonly #log: Log;
  /** Tells the readers of this object from those that a killed agent of the same id left behind. */
  readonly #run = crypto.randomUUID();
  /** Readers that should be gone and are not. */
  readonly #leftBehind = new Set<ContainerId>();
  #searched = false;

  constructor(options: { client: EngineClient; agentId: AgentId; log: Log }) {
    this.#client = options.client;
    this.#agentId = options.agentId;
    this.#log = options.log;
  }

  async find(reference: string, signal: AbortSignal): Promise<ImageDetails | undefined> {
    const path = `/images/${reference.split("/").map(encodeURIComponent).join("/")}/json`;
    const reply = await this.#client.call({ attempt: "inspect an image", method: "GET", path }, signal);
    if (reply.status === 404) return undefined;
    if (reply.status !== 200) throw reply.refusal();
    return reply.decode(decodeImage);
  }

  async listKernelImages(signal: AbortSignal): Promise<readonly LocalImage[]> {
    const reply = await this.#client.call({
      attempt: "list images",
      method: "GET",
      path: "/images/json",
      query: filters({ label: [KERNEL_IMAGE_LABEL] }),
    }, signal);
    if (reply.status !== 200) throw reply.refusal();
    return reply.decode(decodeImages);
  }

  async pull(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    await using stream = await this.#client.open({
      attempt: "pull an image",
      method: "POST",
      path: "/images/create",
      query: pullQuery(reference),
      headers: credentials === undefined ? {} : { "x-registry-auth": registryAuth(reference, credentials) },
      limitMs: PULL_IDLE_MS, // the head comes with the first progress
    }, signal);
    if (stream.status !== 200) throw new ImagePullFailed(reference, (await stream.reply()).reason);
    await followPull(reference, stream);
  }

  async readFile(image: ImageId, path: string, signal: AbortSignal): Promise<string | undefined> {
    await this.#removeLeftBehind(signal);
    await using reader = await this.#createReader(image, signal);
    signal.throwIfAborted();
    const first = await this.#readFrom(reader.id, path, signal);
    if (typeof first !== "object") return first;
    // The engine follows links everywhere but at the end of a path; its target is free of links.
    const second = await this.#readFrom(reader.id, first.linkTarget, signal);
    return typeof second === "object" ? undefined : second;
  }

  /** The text at `path`; undefined if there is no file; the target if it is a symbolic link. */
  async #readFrom(
    id: ContainerId,
    path: string,
    signal: AbortSignal,
  ): Promise<string | undefined | { readonly linkTarget: string }> {
    await using stream = await this.#client.open({
      attempt: "read a file of an image",
      method: "GET",
      path: `/containers/${id}/archive`,
      query: { path },
    }, signal);
    if (stream.status !== 200) {
      const reply = await stream.reply();
      // A path through a regular file is no path at all, which engines up to 28 call an internal error (500).
      if (reply.status === 404 || /not a directory/i.test(reply.reason)) return undefined;
      throw reply.refusal();
    }
    const stat = statOf(stream);
    if (stat.kind === "symlink") return { linkTarget: stat.linkTarget };
    if (stat.kind === "other") return undefined;
    const content = firstFile(await readAtMost(stream, MAX_ARCHIVE_BYTES), MAX_FILE_BYTES);
    return content === undefined ? undefined : new TextDecoder().decode(content);
  }

  /**
   * A container of `image` that never starts: the engine reads files out of containers only. It is made without the
   * caller's signal, because a creation that was cut off may still succeed, with nobody left who knows the container.
   */
  async #createReader(image: ImageId, signal: AbortSignal): Promise<AsyncDisposable & { readonly id: ContainerId }> {
    signal.throwIfAborted();
    const reply = await this.#client.call({
      attempt: "create a container to read an image",
      method: "POST",
      path: "/containers/create",
      json: {
        Image: image,
        Entrypoint: [], // `Cmd` is never run, but the engine wants one
        Cmd: ["-"],
        NetworkDisabled: true,
        Labels: { [READER_LABEL]: this.#agentId, [READER_RUN_LABEL]: this.#run },
        HostConfig: { NetworkMode: "none" },
      },
    }, UNCANCELLED);
    if (reply.status === 404) throw new ImageNotFound(image);
    if (reply.status !== 201) throw reply.refusal();
    const { id } = reply.decode(decodeCreated);
    return { id, [Symbol.asyncDispose]: () => this.#removeReader(id) };
  }

  /** Never throws: what stays behind is removed before the next read. */
  async #removeReader(id: ContainerId): Promise<void> {
    try {
      const reply = await this.#client.call({
        attempt: "remove a container that read an image",
        method: "DELETE",
        path: `/containers/${id}`,
        query: { force: "true", v: "true" },
      }, UNCANCELLED);
      if (reply.status !== 204 && reply.status !== 404) throw reply.refusal();
      this.#leftBehind.delete(id);
    } catch (err) {
      this.#leftBehind.add(id);
      this.#log.warn("container that read an image stays behind for now", { containerId: id, err });
    }
  }

  async #removeLeftBehind(signal: AbortSignal): Promise<void> {
    if (!this.#searched) {
      for (const id of await this.#findStrangers(signal)) this.#leftBehind.add(id);
      this.#searched = true;
    }
    for (const id of this.#leftBehind) await this.#removeReader(id);
  }

  /** Readers of this agent that this object did not make. */
  async #findStrangers(signal: AbortSignal): Promise<readonly ContainerId[]> {
    const reply = await this.#client.call({
      attempt: "list containers",
      method: "GET",
      path: "/containers/json",
      query: { all: "true", ...filters({ label: [`${READER_LABEL}=${this.#agentId}`] }) },
    }, signal);
    if (reply.status !== 200) throw reply.refusal();
    return reply.decode((list) =>
      list.list.filter((item) => item.at("Labels").texts.get(READER_RUN_LABEL) !== this.#run)
        .map((item) => parseContainerId(item.at("Id").unknown))
    );
  }
}

/** Reads a pull to its end. @throws {ImagePullFailed} at the first error in it. */
async function followPull(reference: string, stream: EngineStream): Promise<void> {
  try {
    for await (const message of jsonLines(stream.chunks(PULL_IDLE_MS))) {
      const reason = decodePullError(new ReplyValue(message, "progress"));
      if (reason !== undefined) throw new ImagePullFailed(reference, reason);
    }
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof InvalidField)) throw error;
    throw new ImagePullFailed(reference, "progress that cannot be read", { cause: error });
  }
}

function statOf(stream: EngineStream): ReturnType<typeof decodePathStat> {
  try {
    return decodePathStat(stream.headers.get("x-docker-container-path-stat"));
  } catch (error) {
    throw new RuntimeFailed("read a file of an image", stream.status, `a reply that cannot be read: ${error}`);
  }
}

/** The first `maxBytes` of a stream; the rest is not fetched. */
async function readAtMost(stream: EngineStream, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream.chunks(READ_IDLE_MS)) {
    pieces.push(piece);
    size += piece.length;
    if (size >= maxBytes) break;
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

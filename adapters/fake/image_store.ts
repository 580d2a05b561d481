import { ImageNotFound, ImagePullFailed, RuntimeUnavailable } from "../../domain/errors.ts";
import type { ImageId } from "../../domain/ids.ts";
import type { LocalImage } from "../../domain/kernel/events.ts";
import type { ImageDetails, ImageStore, RegistryCredentials } from "../../src/ports/image_store.ts";
import { FaultPlan } from "./fault_plan.ts";

export interface FakeImage {
  readonly id: ImageId;
  /** As the engine reports them: without `docker.io/`. */
  readonly tags: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
  /** Regular files by absolute path. */
  readonly files?: ReadonlyMap<string, string>;
  /** Symbolic links by absolute path, to absolute paths. */
  readonly links?: ReadonlyMap<string, string>;
}

/** What a registry holds under one reference. */
export interface FakePublication {
  readonly image: FakeImage;
  /** Who may pull; everybody when left out. */
  readonly credentials?: RegistryCredentials;
  /** What the registry says while the image is being fetched; it is whole when left out. */
  readonly failure?: string;
}

const MAX_FILE_BYTES = 1024 * 1024;

/** In-memory {@linkcode ImageStore}. Fault operations are the method names. */
export class FakeImageStore implements ImageStore {
  /** Images on this host. */
  readonly images = new Map<ImageId, FakeImage>();
  /** Images that can be pulled, by reference. */
  readonly registry = new Map<string, FakePublication>();
  /** While false every call fails. */
  reachable = true;

  constructor(readonly faults: FaultPlan = new FaultPlan()) {}

  add(image: FakeImage): void {
    this.images.set(image.id, image);
  }

  /** For `FakeContainerRuntime`. */
  has(id: ImageId): boolean {
    return this.images.has(id);
  }

  async find(reference: string, signal: AbortSignal): Promise<ImageDetails | undefined> {
    await this.#begin("find", signal);
    const tag = engineTag(reference);
    const found = this.images.values().find(({ id, tags }) => id === reference || tags.includes(tag));
    return found && { id: found.id, labels: found.labels };
  }

  async listKernelImages(signal: AbortSignal): Promise<readonly LocalImage[]> {
    await this.#begin("listKernelImages", signal);
    return [...this.images.values()].filter(({ labels }) => labels.has("ai.backend.kernelspec"))
      .flatMap(({ id, tags }) => tags.map((tag) => ({ tag, id })));
  }

  async pull(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    await this.#begin("pull", signal);
    const published = this.registry.get(reference);
    if (published === undefined) throw new ImagePullFailed(reference, `manifest for ${reference} not found`);
    const needed = published.credentials;
    if (
      needed !== undefined && !(needed.username === credentials?.username && needed.password === credentials.password)
    ) {
      throw new ImagePullFailed(reference, "no basic auth credentials");
    }
    if (published.failure !== undefined) throw new ImagePullFailed(reference, published.failure);
    this.add({ ...published.image, tags: [engineTag(reference)] });
  }

  async readFile(image: ImageId, path: string, signal: AbortSignal): Promise<string | undefined> {
    await this.#begin("readFile", signal);
    const found = this.images.get(image);
    if (found === undefined) throw new ImageNotFound(image);
    const content = found.files?.get(found.links?.get(path) ?? path);
    return content === undefined
      ? undefined
      : new TextDecoder().decode(new TextEncoder().encode(content).subarray(0, MAX_FILE_BYTES));
  }

  /** What every call does first. Asynchronous, as the real calls are. */
  async #begin(operation: string, signal: AbortSignal): Promise<void> {
    await Promise.resolve();
    signal.throwIfAborted();
    if (!this.reachable) throw new RuntimeUnavailable("fake");
    this.faults.next(operation);
  }
}

/** A reference as the engine lists it. */
function engineTag(reference: string): string {
  const name = reference.replace(/^(?:index\.)?docker\.io\//, "").replace(/^library\//, "");
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

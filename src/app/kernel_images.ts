import { canonicalName } from "../../domain/image/image_ref.ts";
import { ImageNotFound, ImagePullFailed } from "../../domain/errors.ts";
import type { ImageId } from "../../domain/ids.ts";
import type { LocalImage } from "../../domain/kernel/events.ts";
import type { ImageRequest } from "../../domain/kernel/kernel_request.ts";
import type { ImageStore } from "../ports/image_store.ts";
import type { Log } from "../ports/log.ts";

/** The account files of an image. */
export interface ImageAccounts {
  readonly passwd: string | undefined;
  readonly group: string | undefined;
}

/** The images that kernels run: which ones are here, getting those that are not, and what is known of each. */
export class KernelImages {
  readonly #store: ImageStore;
  readonly #log: Log;
  readonly #accounts = new Map<ImageId, ImageAccounts>();
  #local: readonly LocalImage[] = [];

  constructor(deps: { store: ImageStore; log: Log }) {
    this.#store = deps.store;
    this.#log = deps.log;
  }

  /** As of the last {@linkcode scan}. */
  get local(): readonly LocalImage[] {
    return this.#local;
  }

  async scan(signal: AbortSignal): Promise<void> {
    this.#local = await this.#store.listKernelImages(signal);
    const present = new Set(this.#local.map((image) => image.id));
    for (const id of this.#accounts.keys()) if (!present.has(id)) this.#accounts.delete(id);
  }

  /** Whether the image that was asked for is on this host, whatever the tag points at (04-D10). */
  async isPresent(image: ImageRequest, signal: AbortSignal): Promise<boolean> {
    return await this.#store.find(image.digest, signal) !== undefined;
  }

  /** @throws {ImagePullFailed}; {@linkcode ImageNotFound} when the registry's tag has become another image. */
  async pull(image: ImageRequest, signal: AbortSignal): Promise<void> {
    const name = canonicalName(image.ref);
    this.#log.info("pulling image", { image: name });
    await this.#store.pull(name, image.credentials, signal);
    if (!(await this.isPresent(image, signal))) {
      throw new ImagePullFailed(name, `the tag is another image than ${image.digest}`);
    }
    this.#log.info("image pulled", { image: name });
  }

  /** The account files, read once per image; twice if two ask at the same time. @throws {ImageNotFound} */
  async accounts(id: ImageId, signal: AbortSignal): Promise<ImageAccounts> {
    const known = this.#accounts.get(id);
    if (known !== undefined) return known;
    const passwd = await this.#store.readFile(id, "/etc/passwd", signal);
    const group = await this.#store.readFile(id, "/etc/group", signal);
    const accounts = { passwd, group };
    this.#accounts.set(id, accounts);
    return accounts;
  }

  /** Reads ahead what the first kernel of each image would have to wait for. */
  async prepare(signal: AbortSignal): Promise<void> {
    for (const { id, tag } of this.#local) {
      try {
        await this.accounts(id, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ImageNotFound)) this.#log.warn("image not prepared", { image: tag, error });
      }
    }
  }
}

import type { ImageId } from "../../domain/ids.ts";
import type { LocalImage } from "../../domain/kernel/events.ts";

export interface ImageDetails {
  readonly id: ImageId;
  readonly labels: ReadonlyMap<string, string>;
}

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/**
 * Images on this host. Every method throws {@linkcode RuntimeUnavailable} if the engine cannot be reached and
 * `signal.reason` once `signal` is aborted.
 */
export interface ImageStore {
  /** One image by its id or by a reference text; undefined if it is not on this host. */
  find(reference: string, signal: AbortSignal): Promise<ImageDetails | undefined>;
  /** Every tag of every image that carries the label `ai.backend.kernelspec`, untagged images left out, in no order. */
  listKernelImages(signal: AbortSignal): Promise<readonly LocalImage[]>;
  /**
   * Fetches an image from its registry.
   * @throws {ImagePullFailed} with the registry's or the engine's own words, also for errors inside the stream.
   */
  pull(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void>;
  /**
   * The text of one regular file in an image, its first 1 MiB at most, read without running anything; undefined if there is
   * none. A symbolic link is followed.
   * @throws {ImageNotFound} if the image is not on this host.
   */
  readFile(image: ImageId, path: string, signal: AbortSignal): Promise<string | undefined>;
}

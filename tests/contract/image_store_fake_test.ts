import assert from "node:assert/strict";
import { FakeImageStore } from "../../adapters/fake/image_store.ts";
import { type ImageId, parseImageId } from "../../domain/ids.ts";
import type { LocalImage } from "../../domain/kernel/events.ts";
import type { ImageDetails, RegistryCredentials } from "../../src/ports/image_store.ts";
import { failingCases } from "./contract_case.ts";
import {
  IMAGE_FILES,
  IMAGE_LABELS,
  IMAGE_LINKS,
  IMAGE_STORE_CASES,
  imageStoreContract,
  type ImageStoreHarness,
} from "./image_store.ts";

const idOf = (digit: string): ImageId => parseImageId(`sha256:${digit.repeat(64)}`);

function harnessOf(make: () => FakeImageStore): () => Promise<ImageStoreHarness> {
  // deno-lint-ignore require-await
  return async () => {
    const store = make();
    const image = { id: idOf("a"), tags: ["test/kernel:1", "test/kernel:latest"] as const };
    store.add({ ...image, labels: IMAGE_LABELS, files: IMAGE_FILES, links: IMAGE_LINKS });
    store.add({ id: idOf("b"), tags: [], labels: IMAGE_LABELS });
    store.add({ id: idOf("c"), tags: ["test/ordinary:1"], labels: new Map() });
    const credentials = { username: "user", password: "secret" };
    const pulled = { id: idOf("d"), tags: [], labels: IMAGE_LABELS };
    const registry = {
      credentials,
      name: "registry.test",
      good: "registry.test/good:1",
      broken: "registry.test/broken:1",
    };
    store.registry.set(registry.good, { image: pulled, credentials });
    store.registry.set(registry.broken, { image: pulled, credentials, failure: "blob unknown to registry" });
    const unreachable = new FakeImageStore();
    unreachable.reachable = false;
    return {
      store,
      unreachable,
      image,
      untagged: idOf("b"),
      ordinaryTag: "test/ordinary:1",
      registry: () => Promise.resolve(registry),
      leftovers: () => Promise.resolve([]),
      async [Symbol.asyncDispose]() {},
    };
  };
}

imageStoreContract("FakeImageStore", harnessOf(() => new FakeImageStore()));

class ListsEveryImage extends FakeImageStore {
  override async listKernelImages(signal: AbortSignal): Promise<readonly LocalImage[]> {
    await super.listKernelImages(signal);
    return [...this.images.values()].flatMap(({ id, tags }) => tags.map((tag) => ({ tag, id })));
  }
}

class NeedsNoCredentials extends FakeImageStore {
  override pull(reference: string, _: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    return super.pull(reference, this.registry.get(reference)?.credentials, signal);
  }
}

class FindsExactNamesOnly extends FakeImageStore {
  override async find(reference: string, signal: AbortSignal): Promise<ImageDetails | undefined> {
    const found = await super.find(reference, signal);
    const known = found && this.images.get(found.id);
    return known?.id === reference || known?.tags.includes(reference) ? found : undefined;
  }
}

class EmptyIsAbsent extends FakeImageStore {
  override async readFile(image: ImageId, path: string, signal: AbortSignal): Promise<string | undefined> {
    return await super.readFile(image, path, signal) || undefined;
  }
}

for (const Mutation of [ListsEveryImage, NeedsNoCredentials, FindsExactNamesOnly, EmptyIsAbsent]) {
  Deno.test(`imageStoreContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(IMAGE_STORE_CASES, harnessOf(() => new Mutation())), []);
  });
}

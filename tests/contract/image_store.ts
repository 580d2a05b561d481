import assert from "node:assert/strict";
import { ImageNotFound, ImagePullFailed, RuntimeUnavailable } from "../../domain/errors.ts";
import { type ImageId, parseImageId } from "../../domain/ids.ts";
import type { ImageStore, RegistryCredentials } from "../../src/ports/image_store.ts";
import { type ContractCase, registerContract, within } from "./contract_case.ts";

export interface ImageStoreHarness extends AsyncDisposable {
  readonly store: ImageStore;
  /** A store whose engine is not there. */
  readonly unreachable: ImageStore;
  readonly image: {
    readonly id: ImageId;
    /** Both tags of the image, as the engine reports them; one of them ends with `:latest`. */
    readonly tags: readonly [string, string];
    /** Carries the labels {@linkcode IMAGE_LABELS} and the files {@linkcode IMAGE_FILES} and {@linkcode IMAGE_LINKS}. */
  };
  /** An image with the label that marks kernel images, and without a tag. */
  readonly untagged: ImageId;
  /** The tag of an image without that label. */
  readonly ordinaryTag: string;
  registry(): Promise<ContractRegistry>;
  /** Everything on the engine that reading files could leave behind. */
  leftovers(): Promise<readonly string[]>;
}

/** A registry that asks for `credentials`. */
export interface ContractRegistry {
  readonly credentials: RegistryCredentials;
  /** Its name in references. */
  readonly name: string;
  /** A reference that can be pulled and is not on this host. */
  readonly good: string;
  /** A reference whose image lacks a layer. */
  readonly broken: string;
}

export const IMAGE_LABELS: ReadonlyMap<string, string> = new Map([
  ["ai.backend.kernelspec", "1"],
  ["ai.backend.features", "batch query uid-match"],
]);
export const BIG_FILE_BYTES = 1024 * 1024 + 10;
export const IMAGE_FILES: ReadonlyMap<string, string> = new Map([
  ["/etc/passwd", "root:x:0:0:뿌리:/root:/bin/sh\n"],
  ["/etc/empty", ""],
  ["/etc/big", "b".repeat(BIG_FILE_BYTES)],
  [`/etc/${"long-name-".repeat(15)}`, "found\n"],
]);
export const IMAGE_LINKS: ReadonlyMap<string, string> = new Map([
  ["/etc/alias", "/etc/passwd"],
  ["/etc/dangling", "/etc/none"],
]);

export function imageStoreContract(
  name: string,
  make: () => Promise<ImageStoreHarness>,
  options?: { ignore?: boolean },
): void {
  registerContract(IMAGE_STORE_CASES, name, make, options);
}

/** Longest wait for something that an engine does. */
const LIMIT_MS = 30_000;
const signal = new AbortController().signal;
const reason = new Error("the caller lost interest");
const absent = parseImageId(`sha256:${"0123456789abcdef".repeat(4)}`);

function everyMethod(store: ImageStore, signal: AbortSignal): [string, () => Promise<unknown>][] {
  return [
    ["find", () => store.find("absent:1", signal)],
    ["listKernelImages", () => store.listKernelImages(signal)],
    ["pull", () => store.pull("127.0.0.1:1/absent:1", undefined, signal)],
    ["readFile", () => store.readFile(absent, "/etc/passwd", signal)],
  ];
}

const LOOKUP_CASES: readonly ContractCase<ImageStoreHarness>[] = [
  {
    name: "every method throws RuntimeUnavailable if the engine cannot be reached",
    async run(make) {
      await using harness = await make();
      for (const [method, call] of everyMethod(harness.unreachable, signal)) {
        await assert.rejects(within(LIMIT_MS, call()), RuntimeUnavailable, method);
      }
    },
  },
  {
    name: "every method throws signal.reason once the signal is aborted",
    async run(make) {
      await using harness = await make();
      for (const [method, call] of everyMethod(harness.store, AbortSignal.abort(reason))) {
        await assert.rejects(within(LIMIT_MS, call()), (error) => error === reason, method);
      }
    },
  },
  {
    name: "find() gives an image by its id, with its labels",
    async run(make) {
      await using harness = await make();
      const found = await harness.store.find(harness.image.id, signal);
      assert.equal(found?.id, harness.image.id);
      for (const [label, value] of IMAGE_LABELS) assert.equal(found?.labels.get(label), value);
    },
  },
  {
    name: "find() gives an image by each of its references",
    async run(make) {
      await using harness = await make();
      for (const tag of harness.image.tags) {
        for (const reference of [tag, `docker.io/${tag}`, `index.docker.io/${tag}`, tag.replace(/:latest$/, "")]) {
          assert.equal((await harness.store.find(reference, signal))?.id, harness.image.id, reference);
        }
      }
    },
  },
  {
    name: "find() gives undefined for an image that is not on this host",
    async run(make) {
      await using harness = await make();
      for (const reference of [absent, "absent:1", "registry.test:5000/deep/path/absent:1"]) {
        assert.equal(await harness.store.find(reference, signal), undefined, reference);
      }
    },
  },
  {
    name: "listKernelImages() gives every tag of an image that can run kernels",
    async run(make) {
      await using harness = await make();
      const listed = await harness.store.listKernelImages(signal);
      const tags = listed.filter(({ id }) => id === harness.image.id).map(({ tag }) => tag);
      assert.deepEqual(new Set(tags), new Set(harness.image.tags));
    },
  },
  {
    name: "listKernelImages() leaves out untagged images and those without the label",
    async run(make) {
      await using harness = await make();
      const listed = await harness.store.listKernelImages(signal);
      assert(!listed.some(({ id, tag }) => id === harness.untagged || tag === harness.ordinaryTag));
      assert(!listed.some(({ tag }) => tag.includes("<none>")));
    },
  },
];

const PULL_CASES: readonly ContractCase<ImageStoreHarness>[] = [
  {
    name: "pull() fetches an image from its registry",
    async run(make) {
      await using harness = await make();
      const { good, credentials } = await harness.registry();
      assert.equal(await harness.store.find(good, signal), undefined);
      await harness.store.pull(good, credentials, signal);
      assert.notEqual(await harness.store.find(good, signal), undefined);
    },
  },
  {
    name: "pull() of an image that is here already is not an error",
    async run(make) {
      await using harness = await make();
      const { good, credentials } = await harness.registry();
      await harness.store.pull(good, credentials, signal);
      await harness.store.pull(good, credentials, signal);
    },
  },
  {
    name: "pull() throws ImagePullFailed with the registry's words for an unknown image",
    async run(make) {
      await using harness = await make();
      const { name, credentials } = await harness.registry();
      await assert.rejects(harness.store.pull(`${name}/unknown:1`, credentials, signal), (error) => {
        return error instanceof ImagePullFailed && error.image === `${name}/unknown:1` && /unknown/.test(error.reason);
      });
    },
  },
  {
    name: "pull() throws ImagePullFailed without the right credentials",
    async run(make) {
      await using harness = await make();
      const { good, credentials } = await harness.registry();
      for (const wrong of [undefined, { ...credentials, password: "wrong" }]) {
        await assert.rejects(harness.store.pull(good, wrong, signal), ImagePullFailed);
      }
      assert.equal(await harness.store.find(good, signal), undefined);
    },
  },
  {
    name: "[04-D9] pull() throws ImagePullFailed for an error inside the stream",
    async run(make) {
      await using harness = await make();
      const { broken, credentials } = await harness.registry();
      await assert.rejects(harness.store.pull(broken, credentials, signal), (error) => {
        return error instanceof ImagePullFailed && /unknown|not found|verif/i.test(error.reason);
      });
    },
  },
  {
    name: "pull() throws ImagePullFailed if the registry cannot be reached",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.store.pull("127.0.0.1:1/absent:1", undefined, signal), ImagePullFailed);
    },
  },
];

const FILE_CASES: readonly ContractCase<ImageStoreHarness>[] = [
  {
    name: "readFile() gives the text of a regular file",
    async run(make) {
      await using harness = await make();
      for (const [path, text] of IMAGE_FILES) {
        if (text.length < BIG_FILE_BYTES) {
          assert.equal(await harness.store.readFile(harness.image.id, path, signal), text);
        }
      }
    },
  },
  {
    name: "readFile() follows a symbolic link",
    async run(make) {
      await using harness = await make();
      const text = await harness.store.readFile(harness.image.id, "/etc/alias", signal);
      assert.equal(text, IMAGE_FILES.get("/etc/passwd"));
    },
  },
  {
    name: "readFile() gives at most the first 1 MiB",
    async run(make) {
      await using harness = await make();
      assert.equal((await harness.store.readFile(harness.image.id, "/etc/big", signal))?.length, 1024 * 1024);
    },
  },
  {
    name: "readFile() gives undefined if there is no regular file",
    async run(make) {
      await using harness = await make();
      for (const path of ["/etc/none", "/none/none", "/etc", "/etc/passwd/none", "/etc/dangling", "/"]) {
        assert.equal(await harness.store.readFile(harness.image.id, path, signal), undefined, path);
      }
    },
  },
  {
    name: "readFile() throws ImageNotFound if the image is not on this host",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.store.readFile(absent, "/etc/passwd", signal), ImageNotFound);
    },
  },
  {
    name: "readFile() leaves nothing behind, also when it is aborted or called several times at once",
    async run(make) {
      await using harness = await make();
      const abort = new AbortController();
      const calls = [1, 2, 3].map(() => harness.store.readFile(harness.image.id, "/etc/passwd", abort.signal));
      const settled = Promise.allSettled(calls);
      await harness.store.readFile(harness.image.id, "/etc/empty", signal);
      abort.abort(reason);
      for (const outcome of await within(LIMIT_MS, settled)) {
        if (outcome.status === "rejected") assert.equal(outcome.reason, reason);
      }
      assert.deepEqual(await harness.leftovers(), []);
    },
  },
];

export const IMAGE_STORE_CASES: readonly ContractCase<ImageStoreHarness>[] = [
  ...LOOKUP_CASES,
  ...PULL_CASES,
  ...FILE_CASES,
];

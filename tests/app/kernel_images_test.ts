import assert from "node:assert/strict";
import { FakeImageStore } from "../../adapters/fake/image_store.ts";
import { FaultPlan } from "../../adapters/fake/fault_plan.ts";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { ImageNotFound, RuntimeUnavailable } from "../../domain/errors.ts";
import { KernelImages } from "../../src/app/kernel_images.ts";
import { never, PYTHON } from "./kernel_request.ts";

function makeImages(faults: ConstructorParameters<typeof FaultPlan>[0] = {}) {
  const store = new FakeImageStore(new FaultPlan(faults));
  store.add(PYTHON);
  const log = new MemoryLog();
  return { store, log, images: new KernelImages({ store, log }) };
}

Deno.test("KernelImages.local is what the last successful scan found", async () => {
  const { store, images } = makeImages();
  assert.deepEqual(images.local, []);
  await images.scan(never);
  assert.deepEqual(images.local.map(({ tag }) => tag), PYTHON.tags);
  store.reachable = false;
  await assert.rejects(images.scan(never), RuntimeUnavailable);
  assert.equal(images.local.length, 1);
});

Deno.test("KernelImages.accounts() reads an image once, and again when it has been away", async () => {
  const { store, images } = makeImages();
  const expected = { passwd: "root:x:0:0::/root:/bin/sh\n", group: "root:x:0:\n" };
  await images.scan(never);
  assert.deepEqual(await images.accounts(PYTHON.id, never), expected);
  store.add({ ...PYTHON, files: new Map() });
  assert.deepEqual(await images.accounts(PYTHON.id, never), expected);
  store.images.clear();
  await images.scan(never);
  store.add({ ...PYTHON, files: new Map() });
  assert.deepEqual(await images.accounts(PYTHON.id, never), { passwd: undefined, group: undefined });
});

Deno.test("KernelImages.accounts() tries again after a failure", async () => {
  const { images } = makeImages({ readFile: [new RuntimeUnavailable("fake")] });
  await assert.rejects(images.accounts(PYTHON.id, never), RuntimeUnavailable);
  assert.ok((await images.accounts(PYTHON.id, never)).passwd);
});

Deno.test("[04-D46] KernelImages.prepare() reads ahead, and takes no notice of an image removed meanwhile", async () => {
  const { store, log, images } = makeImages({ readFile: [new ImageNotFound(PYTHON.id)] });
  await images.scan(never);
  await images.prepare(never);
  assert.deepEqual(log.messages("warn"), []);
  await images.prepare(never);
  store.reachable = false;
  assert.ok((await images.accounts(PYTHON.id, never)).passwd, "has been read");
});

Deno.test("KernelImages.prepare() logs what it cannot read, and ends with its signal", async () => {
  const { store, log, images } = makeImages();
  await images.scan(never);
  store.reachable = false;
  await images.prepare(never);
  assert.deepEqual(log.messages("warn"), ["image not prepared"]);
  await assert.rejects(images.prepare(AbortSignal.abort(new Error("enough"))), /enough/);
});

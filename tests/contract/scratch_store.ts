import assert from "node:assert/strict";
import { InvalidField } from "../../domain/errors.ts";
import { type KernelId, parseContainerId, parseImageId, parseKernelId } from "../../domain/ids.ts";
import type { KernelRecord } from "../../domain/kernel/kernel_request.ts";
import type { ScratchStore } from "../../src/ports/scratch_store.ts";
import { type ContractCase, registerContract } from "./contract_case.ts";

export interface ScratchHarness extends AsyncDisposable {
  readonly store: ScratchStore;
  /** Content of a configuration file as the kernel sees it; undefined if there is none. */
  config(kernelId: KernelId, name: string): Promise<string | undefined>;
  /** Names of the configuration files. */
  configNames(kernelId: KernelId): Promise<readonly string[]>;
  /** Spoils the stored record. */
  damageRecord(kernelId: KernelId): Promise<void>;
  /** Another store over the same directories, as after a restart of the agent. */
  reopen(): ScratchStore;
  /** Makes the next creation of a directory fail halfway. */
  failNextCreate(): Promise<AsyncDisposable>;
}

export function scratchStoreContract(name: string, make: () => Promise<ScratchHarness>): void {
  registerContract(SCRATCH_STORE_CASES, name, make);
}

export const KERNEL = parseKernelId("dbda8c0d-a5ff-4071-8d62-fb2faf0ec088");
const OTHER = parseKernelId("00000000-0000-4000-8000-000000000001");
export const OWNER = { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 };

export const RECORD: KernelRecord = {
  kernelId: KERNEL,
  containerId: parseContainerId("4f".repeat(32)),
  imageRef: "registry.example.org:5000/stable/python:3.11-한글",
  imageId: parseImageId(`sha256:${"0a".repeat(32)}`),
  sessionType: "interactive",
  allocation: new Map([
    ["cpu", new Map([["0", 1_000_000n], ["1", 1_000_000n]])],
    ["mem", new Map([["root", 9_007_199_254_740_993n]])], // not exact as a JSON number
  ]),
  shmemBytes: 64n << 20n,
  idleTimeoutS: 600,
  kernelHost: "10.0.0.1",
  replInPort: 30_000,
  replOutPort: 30_001,
  services: [{ name: "sshd", protocol: "tcp", containerPorts: [2200], hostPorts: [30_002] }],
  hostPorts: [30_000, 30_001, 30_002],
  blockServicePorts: false,
  createdAtMs: 1_700_000_000_123,
};

export const SCRATCH_STORE_CASES: readonly ContractCase<ScratchHarness>[] = [
  {
    name: "create() makes the directories and gives absolute paths",
    async run(make) {
      await using harness = await make();
      const { workDir, configDir } = await harness.store.create(KERNEL, OWNER);
      assert.ok(workDir.startsWith("/") && configDir.startsWith("/") && workDir !== configDir);
      assert.deepEqual(await harness.configNames(KERNEL), []);
    },
  },
  {
    name: "create() fails if they exist, and leaves them as they are",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.writeConfig(KERNEL, "environ.txt", "A=1\n");
      await assert.rejects(harness.store.create(KERNEL, OWNER));
      assert.equal(await harness.config(KERNEL, "environ.txt"), "A=1\n");
    },
  },
  {
    name: "create() leaves nothing if it rejects",
    async run(make) {
      await using harness = await make();
      {
        await using _broken = await harness.failNextCreate();
        await assert.rejects(harness.store.create(KERNEL, OWNER));
      }
      assert.deepEqual(await harness.store.list(), []);
      await harness.store.create(KERNEL, OWNER);
    },
  },
  {
    name: "writeConfig() writes a file of the configuration directory",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.writeConfig(KERNEL, "kernel_id.txt", "ünï\n");
      assert.equal(await harness.config(KERNEL, "kernel_id.txt"), "ünï\n");
    },
  },
  {
    name: "writeConfig() replaces a file and leaves no other behind",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.writeConfig(KERNEL, "resource.txt", "a long first text\n");
      await harness.store.writeConfig(KERNEL, "resource.txt", "CID=\n");
      assert.equal(await harness.config(KERNEL, "resource.txt"), "CID=\n");
      assert.deepEqual(await harness.configNames(KERNEL), ["resource.txt"]);
    },
  },
  {
    name: "writeConfig() refuses what is no plain file name",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      for (const name of ["../record.json", "a/b", "..", ".", "", "/etc/passwd", "a\0b", "a\nb"]) {
        await assert.rejects(harness.store.writeConfig(KERNEL, name, "x"), InvalidField, JSON.stringify(name));
      }
    },
  },
  {
    name: "writeConfig() fails for a kernel without a directory",
    async run(make) {
      await using harness = await make();
      await assert.rejects(harness.store.writeConfig(KERNEL, "a", "x"));
      assert.deepEqual(await harness.store.list(), []);
    },
  },
  {
    name: "readRecord() gives back exactly what writeRecord() was given, also after a restart",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.writeRecord(RECORD);
      assert.deepEqual(await harness.store.readRecord(KERNEL), RECORD);
      assert.deepEqual(await harness.reopen().readRecord(KERNEL), RECORD);
    },
  },
  {
    name: "writeRecord() replaces the record",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.writeRecord(RECORD);
      const changed: KernelRecord = { ...RECORD, sessionType: "batch", services: [], allocation: new Map() };
      await harness.store.writeRecord(changed);
      assert.deepEqual(await harness.store.readRecord(KERNEL), changed);
    },
  },
  {
    name: "writeRecord() puts nothing where the kernel can read it",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.writeRecord(RECORD);
      assert.deepEqual(await harness.configNames(KERNEL), []);
    },
  },
  {
    name: "readRecord() is undefined if there is none",
    async run(make) {
      await using harness = await make();
      assert.equal(await harness.store.readRecord(KERNEL), undefined);
      await harness.store.create(KERNEL, OWNER);
      assert.equal(await harness.store.readRecord(KERNEL), undefined);
    },
  },
  {
    name: "readRecord() is undefined if the record cannot be understood",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.writeRecord(RECORD);
      await harness.damageRecord(KERNEL);
      assert.equal(await harness.store.readRecord(KERNEL), undefined);
      assert.deepEqual(await harness.store.list(), [KERNEL]);
    },
  },
  {
    name: "remove() removes everything of a kernel and nothing of another",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.create(OTHER, OWNER);
      await harness.store.writeRecord(RECORD);
      await harness.store.writeConfig(OTHER, "environ.txt", "A=1\n");
      await harness.store.remove(KERNEL);
      assert.deepEqual(await harness.store.list(), [OTHER]);
      assert.equal(await harness.store.readRecord(KERNEL), undefined);
      assert.equal(await harness.config(OTHER, "environ.txt"), "A=1\n");
      await harness.store.create(KERNEL, OWNER);
      assert.deepEqual(await harness.configNames(KERNEL), []);
    },
  },
  {
    name: "remove() of an absent kernel is not an error",
    async run(make) {
      await using harness = await make();
      await harness.store.remove(KERNEL);
    },
  },
  {
    name: "clear() removes what a kernel has, but not its place in the list",
    async run(make) {
      await using harness = await make();
      await harness.store.create(KERNEL, OWNER);
      await harness.store.create(OTHER, OWNER);
      await harness.store.writeConfig(KERNEL, "environ.txt", "A=1\n");
      await harness.store.writeConfig(OTHER, "environ.txt", "A=1\n");
      await harness.store.writeRecord(RECORD);
      await harness.store.clear(KERNEL);
      assert.equal(await harness.config(KERNEL, "environ.txt"), undefined);
      assert.equal(await harness.reopen().readRecord(KERNEL), undefined);
      assert.deepEqual([...await harness.reopen().list()].sort(), [OTHER, KERNEL]);
      assert.equal(await harness.config(OTHER, "environ.txt"), "A=1\n");
      await harness.store.remove(KERNEL);
      assert.deepEqual(await harness.store.list(), [OTHER]);
    },
  },
  {
    name: "clear() of an absent kernel is not an error",
    async run(make) {
      await using harness = await make();
      await harness.store.clear(KERNEL);
      assert.deepEqual(await harness.store.list(), []);
    },
  },
  {
    name: "list() gives the kernels that have a directory",
    async run(make) {
      await using harness = await make();
      assert.deepEqual(await harness.store.list(), []);
      await harness.store.create(KERNEL, OWNER);
      await harness.store.create(OTHER, OWNER);
      assert.deepEqual([...await harness.store.list()].sort(), [OTHER, KERNEL]);
      assert.deepEqual([...await harness.reopen().list()].sort(), [OTHER, KERNEL]);
    },
  },
];

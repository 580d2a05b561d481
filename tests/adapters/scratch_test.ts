import assert from "node:assert/strict";
import fc from "fast-check";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { FileScratch } from "../../adapters/scratch/file_scratch.ts";
import { decodeRecord, encodeRecord } from "../../adapters/scratch/record_file.ts";
import { AgentError, StartFailed } from "../../domain/errors.ts";
import { parseAgentId } from "../../domain/ids.ts";
import { KERNEL, OWNER, RECORD, type ScratchHarness, scratchStoreContract } from "../contract/scratch_store.ts";

const AGENT = parseAgentId("i-worker1");

/** A store over a folder of its own, which goes away with it. */
async function open() {
  const base = await Deno.makeTempDir({ prefix: "scratch-test-" });
  const root = `${base}/deep/scratches`;
  const log = new MemoryLog();
  return {
    base,
    root,
    log,
    store: new FileScratch({ root, agentId: AGENT, log }),
    dir: `${root}/${KERNEL}`,
    [Symbol.asyncDispose]: () => Deno.remove(base, { recursive: true }),
  };
}

async function harness(): Promise<ScratchHarness> {
  const { base, root, store } = await open();
  const configDir = (kernelId: string) => `${root}/${kernelId}/config`;
  return {
    store,
    config: (kernelId, name) => Deno.readTextFile(`${configDir(kernelId)}/${name}`).catch(() => undefined),
    configNames: (kernelId) => names(configDir(kernelId)),
    damageRecord: (kernelId) => Deno.truncate(`${root}/${kernelId}/record.json`, 100),
    reopen: () => new FileScratch({ root, agentId: AGENT, log: new MemoryLog() }),
    async failNextCreate() {
      await Deno.mkdir(root, { recursive: true });
      await Deno.remove(root);
      await Deno.writeTextFile(root, "a file where the folder should be");
      return { [Symbol.asyncDispose]: () => Deno.remove(root) };
    },
    [Symbol.asyncDispose]: () => Deno.remove(base, { recursive: true }),
  };
}

scratchStoreContract("FileScratch", harness);

async function names(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();
}

async function modeOf(path: string): Promise<string> {
  return ((await Deno.lstat(path)).mode ?? 0).toString(8).slice(-3);
}

Deno.test("FileScratch lays out files and permissions as 04 §7.1 and its comment say", async () => {
  await using it = await open();
  const umask = Deno.umask(0o077);
  try {
    const { workDir, configDir } = await it.store.create(KERNEL, OWNER);
    await it.store.writeConfig(KERNEL, "environ.txt", "A=1\n");
    await it.store.writeRecord(RECORD);
    assert.deepEqual([workDir, configDir], [`${it.dir}/work`, `${it.dir}/config`]);
    assert.equal(it.store.workDir(KERNEL), workDir);
  } finally {
    Deno.umask(umask);
  }
  assert.deepEqual(await names(it.dir), ["agent", "config", "record.json", "work"]);
  const modes = await Promise.all(
    ["", "/config", "/work", "/config/environ.txt", "/record.json", "/agent"].map((path) => {
      return modeOf(it.dir + path);
    }),
  );
  assert.deepEqual(modes, ["700", "755", "755", "644", "600", "600"]);
});

Deno.test({
  name: "FileScratch.create() gives the work directory to the kernel's user",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using it = await open();
    const { workDir, configDir } = await it.store.create(KERNEL, { uid: 1234, gid: 5678 });
    const work = await Deno.stat(workDir);
    assert.deepEqual([work.uid, work.gid], [1234, 5678]);
    assert.equal((await Deno.stat(configDir)).uid, 0);
  },
});

Deno.test("FileScratch.create() undoes a directory that it made halfway", async () => {
  await using it = await open();
  const uid = {} as unknown as number; // no user id at all: the last step of the creation fails
  await assert.rejects(it.store.create(KERNEL, { uid, gid: 1 }));
  assert.deepEqual(await it.store.list(), []);
});

Deno.test("FileScratch.remove() removes links, and not what they point at", async () => {
  await using it = await open();
  const { workDir } = await it.store.create(KERNEL, OWNER);
  const outside = `${it.base}/outside`;
  await Deno.mkdir(`${outside}/inner`, { recursive: true });
  await Deno.writeTextFile(`${outside}/inner/precious`, "data");
  await Deno.symlink(outside, `${workDir}/link`);
  await Deno.symlink(`${outside}/inner/precious`, `${workDir}/file`);
  await Deno.symlink("/nowhere", `${workDir}/dangling`);
  await Deno.mkdir(`${workDir}/closed/deeper`, { recursive: true });
  await Deno.writeTextFile(`${workDir}/closed/deeper/file`, "x");
  await Deno.chmod(`${workDir}/closed/deeper`, 0o000);
  await Deno.chmod(`${workDir}/closed`, 0o500);
  await it.store.remove(KERNEL);
  assert.deepEqual(await it.store.list(), []);
  assert.equal(await Deno.readTextFile(`${outside}/inner/precious`), "data");
});

Deno.test("FileScratch.list() leaves alone what is no kernel's folder", async () => {
  await using it = await open();
  await it.store.create(KERNEL, OWNER);
  await Deno.mkdir(`${it.root}/${KERNEL}_tmp`);
  await Deno.mkdir(`${it.root}/lost+found`);
  await Deno.mkdir(`${it.root}/DBDA8C0D-A5FF-4071-8D62-FB2FAF0EC088`);
  await Deno.writeTextFile(`${it.root}/00000000-0000-4000-8000-000000000002`, "a file");
  await Deno.symlink("/etc", `${it.root}/00000000-0000-4000-8000-000000000003`);
  assert.deepEqual(await it.store.list(), [KERNEL]);
});

Deno.test("FileScratch.readRecord() logs a record that it does not understand", async () => {
  await using it = await open();
  await it.store.create(KERNEL, OWNER);
  const path = `${it.dir}/record.json`;
  const foreign = encodeRecord(RECORD).replace(KERNEL, "00000000-0000-4000-8000-000000000001");
  for (const text of ["", "{", "[]", "null", '{"version":2}', foreign, "x".repeat(2 << 20), "\xff\xfe"]) {
    await Deno.writeTextFile(path, text);
    assert.equal(await it.store.readRecord(KERNEL), undefined, text.slice(0, 40));
  }
  assert.equal(it.log.messages("warn").length, 8);
});

Deno.test("FileScratch.writeConfig() never shows a half-written file", async () => {
  await using it = await open();
  const { configDir } = await it.store.create(KERNEL, OWNER);
  const texts = ["a", "b"].map((char) => char.repeat(1 << 20));
  await it.store.writeConfig(KERNEL, "f", texts[0] ?? "");
  const writes = texts.map((text) => it.store.writeConfig(KERNEL, "f", text));
  for (let i = 0; i < 20; i++) assert.ok(texts.includes(await Deno.readTextFile(`${configDir}/f`)));
  await Promise.all(writes);
  assert.deepEqual(await names(it.dir), ["agent", "config", "work"]);
});

Deno.test("decodeRecord() reads what encodeRecord() writes", () => {
  assert.deepEqual(decodeRecord(encodeRecord(RECORD)), RECORD);
});

Deno.test("decodeRecord() refuses every record with a part missing or of another kind", () => {
  const good = JSON.parse(encodeRecord(RECORD));
  for (const key of Object.keys(good)) {
    for (const value of [undefined, null, {}, [], [{}], -1, 1.5, "", "\u0000"]) {
      if (JSON.stringify(value) === JSON.stringify(good[key])) continue;
      if (Array.isArray(value) && value.length === 0 && Array.isArray(good[key])) continue; // an empty list is a list
      if (key === "allocation" && JSON.stringify(value) === "{}") continue; // and an empty map a map
      if (value === "\u0000" && ["imageRef", "kernelHost"].includes(key)) continue; // any text will do
      const text = JSON.stringify({ ...good, [key]: value });
      assert.throws(() => decodeRecord(text), AgentError, `${key}: ${JSON.stringify(value)}`);
    }
  }
});

Deno.test("decodeRecord() throws nothing but AgentError, whatever the text", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
    assert.throws(() => decodeRecord(text), AgentError);
  }));
});

Deno.test("list() leaves out kernels of another agent and of the original one, which share the root", async () => {
  await using place = await open();
  const other = new FileScratch({ root: place.root, agentId: parseAgentId("i-worker2"), log: place.log });
  await place.store.create(KERNEL, OWNER);
  await Deno.mkdir(`${place.root}/11111111-2222-4333-8444-555555555555/config`, { recursive: true });
  assert.deepEqual(await other.list(), []);
  assert.deepEqual(await place.store.list(), [KERNEL]);
});

Deno.test("FileScratch.prepare() makes the root, and refuses one in which nothing can be made", async () => {
  await using opened = await open();
  await opened.store.prepare();
  assert.deepEqual(await Array.fromAsync(Deno.readDir(opened.root)), []);
  await Deno.remove(opened.root);
  await Deno.writeTextFile(opened.root, "a file where the folder should be");
  await assert.rejects(opened.store.prepare(), (error) => {
    return error instanceof StartFailed && error.message.includes(`"${opened.root}"`);
  });
});

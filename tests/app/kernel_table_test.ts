import assert from "node:assert/strict";
import { FakeClock } from "../../adapters/fake/clock.ts";
import { KernelExists, KernelNotFound } from "../../domain/errors.ts";
import { KernelTable } from "../../src/app/kernel_table.ts";
import { KERNEL, kernelId } from "./kernel_request.ts";

Deno.test("[04-D40] KernelTable has at most one kernel of an id", () => {
  const table = new KernelTable(new FakeClock());
  const kernel = table.add(KERNEL);
  assert.throws(() => table.add(KERNEL), KernelExists);
  assert.equal(table.find(KERNEL), kernel);
  table.remove(kernel);
  assert.notEqual(table.add(KERNEL), kernel);
});

Deno.test("KernelTable.running() finds no kernel that is being created or has gone", () => {
  const table = new KernelTable(new FakeClock());
  assert.throws(() => table.running(KERNEL), KernelNotFound);
  table.add(KERNEL);
  assert.throws(() => table.running(KERNEL), KernelNotFound);
});

Deno.test("[02-D2] KernelTable remembers the last 4096 ends, and forgets one when its kernel is created again", () => {
  const table = new KernelTable(new FakeClock());
  for (let n = 1; n <= 4096; n++) assert.equal(table.noteEnd(kernelId(n)), true);
  assert.equal(table.noteEnd(kernelId(1)), false);
  assert.equal(table.noteEnd(kernelId(4097)), true);
  assert.equal(table.noteEnd(kernelId(2)), false);
  assert.equal(table.noteEnd(kernelId(1)), true, "the oldest was forgotten");
  table.add(kernelId(3));
  assert.equal(table.noteEnd(kernelId(3)), true);
});

Deno.test("KernelTable.all() is a snapshot: the table may change while it is walked", () => {
  const table = new KernelTable(new FakeClock());
  table.add(kernelId(1));
  table.add(kernelId(2));
  for (const kernel of table.all()) table.remove(kernel);
  assert.deepEqual(table.all(), []);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { InsufficientSlots, UnknownSlot } from "../../domain/errors.ts";
import { type KernelId, parseKernelId } from "../../domain/ids.ts";
import { type Allocation, AllocationLedger, type Device, deviceName } from "../../domain/resource/ledger.ts";
import { COUNT, type Slots } from "../../domain/resource/slots.ts";

const kernel = (n: number): KernelId => parseKernelId(n.toString(16).padStart(32, "0"));
const cores = (count: number, capacity = COUNT): Device[] =>
  Array.from({ length: count }, (_, core) => ({ slot: "cpu", id: String(core), capacity, kind: "discrete" }));
const memory = (capacity: bigint): Device => ({ slot: "mem", id: "root", capacity, kind: "discrete" });
const gpu = (id: string, capacity: bigint): Device => ({ slot: "cuda.shares", id, capacity, kind: "fraction" });
const slots = (amounts: Record<string, bigint>): Slots => new Map(Object.entries(amounts));
const shares = (allocation: Allocation | undefined, slot: string) => Object.fromEntries(allocation?.get(slot) ?? []);

Deno.test("deviceName() is the slot's name up to its first dot", () => {
  assert.deepEqual(["cpu", "cuda.device", "cuda.mig-1.x"].map(deviceName), ["cpu", "cuda", "cuda"]);
});

Deno.test("[04-4.3] allocate() takes from the devices with most free, ties in device order", () => {
  const ledger = new AllocationLedger([gpu("a", 500_000n), gpu("b", 900_000n), gpu("c", 900_000n)]);
  assert.deepEqual(shares(ledger.allocate(kernel(1), slots({ "cuda.shares": 1_000_000n })), "cuda.shares"), {
    b: 900_000n,
    c: 100_000n,
  });
  assert.deepEqual(shares(ledger.allocate(kernel(2), slots({ "cuda.shares": 600_000n })), "cuda.shares"), {
    c: 600_000n,
  });
});

Deno.test("[04-4.3] allocate() fills free cores in ascending order and moves on to the least loaded", () => {
  const ledger = new AllocationLedger(cores(3, 2n * COUNT));
  assert.deepEqual(shares(ledger.allocate(kernel(1), slots({ cpu: 2n * COUNT })), "cpu"), { 0: 2n * COUNT });
  assert.deepEqual(shares(ledger.allocate(kernel(2), slots({ cpu: COUNT })), "cpu"), { 1: COUNT });
  assert.deepEqual(shares(ledger.allocate(kernel(3), slots({ cpu: 3n * COUNT })), "cpu"), { 1: COUNT, 2: 2n * COUNT });
});

Deno.test("[04-4.3] allocate() cuts discrete counts to whole units and keeps fractions exact", () => {
  const ledger = new AllocationLedger([...cores(2), gpu("a", COUNT)]);
  const allocation = ledger.allocate(kernel(1), slots({ cpu: 1_900_000n, "cuda.shares": 123_456n }));
  assert.deepEqual([shares(allocation, "cpu"), shares(allocation, "cuda.shares")], [{ 0: COUNT }, { a: 123_456n }]);
  assert.equal(ledger.allocate(kernel(2), slots({ cpu: 900_000n })).size, 0);
});

Deno.test("[04-D1] allocate() takes all or nothing", () => {
  const ledger = new AllocationLedger([...cores(2), memory(100n)]);
  const request = slots({ cpu: 2n * COUNT, mem: 101n });
  assert.throws(() => ledger.allocate(kernel(1), request), (error) => {
    assert.ok(error instanceof InsufficientSlots);
    const { device, slot, requested, free, kind } = error;
    assert.deepEqual([device, slot, requested, free, kind], ["mem", "mem", 101n, 100n, "discrete"]);
    return true;
  });
  assert.deepEqual([ledger.free("cpu"), ledger.free("mem"), ledger.held(kernel(1))], [2n * COUNT, 100n, undefined]);
});

Deno.test("[04-D7] allocate() ignores zero amounts of unknown slots and refuses positive ones", () => {
  const ledger = new AllocationLedger(cores(1));
  assert.equal(ledger.allocate(kernel(1), slots({ "rocm.device": 0n, cpu: 0n })).size, 0);
  assert.throws(() => ledger.allocate(kernel(2), slots({ "rocm.device": 1n })), UnknownSlot);
  assert.equal(ledger.held(kernel(2)), undefined);
});

Deno.test("[04-D8] allocate() does not mix up devices whose names share a prefix", () => {
  const ledger = new AllocationLedger([gpu("a", COUNT), { ...gpu("x", COUNT), slot: "cudax.shares" }]);
  ledger.allocate(kernel(1), slots({ "cuda.shares": COUNT }));
  assert.deepEqual([ledger.free("cuda.shares"), ledger.free("cudax.shares")], [0n, COUNT]);
});

Deno.test("[04-D3] release() gives back once", () => {
  const ledger = new AllocationLedger(cores(2));
  ledger.allocate(kernel(1), slots({ cpu: COUNT }));
  assert.deepEqual([ledger.release(kernel(1)), ledger.release(kernel(1))], [true, false]);
  assert.equal(ledger.free("cpu"), 2n * COUNT);
});

Deno.test("[04-D40] allocate() gives a second request of one owner what it holds already", () => {
  const ledger = new AllocationLedger(cores(4));
  const first = ledger.allocate(kernel(1), slots({ cpu: COUNT }));
  assert.equal(ledger.allocate(kernel(1), slots({ cpu: 3n * COUNT })), first);
  assert.equal(ledger.free("cpu"), 3n * COUNT);
});

Deno.test("[04-D19] restore() records exactly what runs, adds overcommitted cores up, and never frees below zero", () => {
  const ledger = new AllocationLedger([...cores(1, 2n * COUNT), memory(1_500_000_000n)]);
  const running = (mem: bigint): Allocation =>
    new Map([["cpu", new Map([["0", COUNT]])], ["mem", new Map([["root", mem]])]]);
  assert.equal(ledger.restore(kernel(1), running(1_499_999_999n)), true);
  assert.deepEqual([ledger.free("cpu"), ledger.free("mem")], [COUNT, 1n]);
  assert.equal(ledger.restore(kernel(2), running(7n)), false);
  assert.deepEqual([ledger.free("cpu"), ledger.free("mem")], [0n, 0n]);
  assert.deepEqual(ledger.held(kernel(2)), running(7n));
  ledger.release(kernel(2));
  assert.deepEqual([ledger.free("cpu"), ledger.free("mem")], [COUNT, 1n]);
});

Deno.test("restore() leaves out what does not exist any more and says so; repeats change nothing", () => {
  const ledger = new AllocationLedger(cores(1));
  const allocation: Allocation = new Map([["cpu", new Map([["0", COUNT], ["9", COUNT]])], [
    "tpu.x",
    new Map([["a", 1n]]),
  ]]);
  assert.equal(ledger.restore(kernel(1), allocation), false);
  assert.deepEqual(ledger.held(kernel(1)), new Map([["cpu", new Map([["0", COUNT]])]]));
  assert.equal(ledger.restore(kernel(1), new Map()), true);
  assert.equal(ledger.free("cpu"), 0n);
});

Deno.test("AllocationLedger keeps its books through any operations and gives everything back", () => {
  const devices = [...cores(4, 2n * COUNT), memory(1000n), gpu("a", COUNT), gpu("b", 300_000n)];
  const names = ["cpu", "mem", "cuda.shares"];
  const request = fc.record({
    cpu: fc.bigInt({ min: 0n, max: 9n }).map((n) => n * 700_000n),
    mem: fc.bigInt({ min: 0n, max: 1200n }),
    "cuda.shares": fc.bigInt({ min: 0n, max: 1_500_000n }),
  });
  const operation = fc.record({ owner: fc.nat(5), kind: fc.constantFrom("allocate", "release", "restart"), request });
  fc.assert(fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
    let ledger = new AllocationLedger(devices);
    for (const { owner, kind, request } of operations) {
      const before = names.map((name) => ledger.free(name));
      if (kind === "release") ledger.release(kernel(owner));
      else if (kind === "restart") ledger = rebuilt(ledger, devices);
      else allocateOrNothing(ledger, kernel(owner), slots(request), before);
      assertBalanced(ledger, devices);
      if (kind === "restart") assert.deepEqual(names.map((name) => ledger.free(name)), before);
    }
    for (const owner of [...ledger.owners()]) ledger.release(owner);
    for (const name of names) assert.equal(ledger.free(name), ledger.capacity(name));
  }));
});

function allocateOrNothing(ledger: AllocationLedger, owner: KernelId, request: Slots, before: readonly bigint[]) {
  const held = ledger.held(owner);
  const names = ["cpu", "mem", "cuda.shares"];
  try {
    const allocation = ledger.allocate(owner, request);
    if (held !== undefined) return assert.equal(allocation, held);
    for (const name of names) {
      const asked = request.get(name) ?? 0n;
      assert.equal(total(allocation.get(name)?.values() ?? []), name === "cpu" ? asked - asked % COUNT : asked);
    }
  } catch (error) {
    assert.ok(error instanceof InsufficientSlots);
    assert.deepEqual(names.map((name) => ledger.free(name)), before);
    assert.equal(ledger.held(owner), undefined);
  }
}

/** A ledger made anew from what runs, as after a restart. */
function rebuilt(ledger: AllocationLedger, devices: readonly Device[]): AllocationLedger {
  const copy = new AllocationLedger(devices);
  for (const owner of ledger.owners()) assert.ok(copy.restore(owner, ledger.held(owner) ?? new Map()));
  return copy;
}

function assertBalanced(ledger: AllocationLedger, devices: readonly Device[]) {
  const taken = new Map<string, bigint>();
  for (const owner of ledger.owners()) {
    for (const [slot, shares] of ledger.held(owner) ?? []) {
      for (const [id, amount] of shares) {
        assert.ok(amount > 0n);
        taken.set(`${slot} ${id}`, (taken.get(`${slot} ${id}`) ?? 0n) + amount);
      }
    }
  }
  const free = new Map<string, bigint>();
  for (const { slot, id, capacity } of devices) {
    const left = capacity - (taken.get(`${slot} ${id}`) ?? 0n);
    assert.ok(left >= 0n, `${slot} ${id} is overdrawn`);
    free.set(slot, (free.get(slot) ?? 0n) + left);
  }
  for (const [slot, amount] of free) assert.equal(ledger.free(slot), amount);
}

function total(amounts: Iterable<bigint>): bigint {
  let sum = 0n;
  for (const amount of amounts) sum += amount;
  return sum;
}

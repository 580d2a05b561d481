import assert from "node:assert/strict";
import fc from "fast-check";
import { InsufficientPorts, InvalidField } from "../../domain/errors.ts";
import { type KernelId, parseKernelId } from "../../domain/ids.ts";
import { PortPool } from "../../domain/net/port_pool.ts";

const kernel = (n: number): KernelId => parseKernelId(n.toString(16).padStart(32, "0"));

Deno.test("[04-10.1] PortPool has every port of the range, both ends included", () => {
  const pool = new PortPool(30000, 30003);
  assert.deepEqual(pool.lease(kernel(1), 4), [30000, 30001, 30002, 30003]);
  assert.equal(pool.free, 0);
});

Deno.test("PortPool refuses a range that is none", () => {
  for (const [first = 0, last = 0] of [[2, 1], [0, 5], [1, 65536], [1.5, 3], [NaN, 3]]) {
    assert.throws(() => new PortPool(first, last), InvalidField);
  }
});

Deno.test("lease() hands a port that came back out last", () => {
  const pool = new PortPool(1, 4);
  pool.lease(kernel(1), 2);
  pool.release(kernel(1));
  assert.deepEqual(pool.lease(kernel(2), 3), [3, 4, 1]);
});

Deno.test("lease() takes all or nothing", () => {
  const pool = new PortPool(1, 3);
  assert.throws(() => pool.lease(kernel(1), 4), (error) => {
    assert.ok(error instanceof InsufficientPorts);
    assert.deepEqual([error.requested, error.free], [4, 3]);
    assert.equal(error.message, "Container ports are not sufficiently available.");
    return true;
  });
  assert.deepEqual([pool.free, pool.heldBy(kernel(1))], [3, []]);
});

Deno.test("[04-D26] lease() sets ports that are in use aside to the end, trying each once", () => {
  const pool = new PortPool(1, 5);
  const busy = new Set([1, 3]);
  assert.deepEqual(pool.lease(kernel(1), 2, (port) => !busy.has(port)), [2, 4]);
  assert.deepEqual([pool.free, pool.lease(kernel(2), 3)], [3, [5, 1, 3]]);
  assert.equal(pool.release(kernel(2)).length, 3);
  const tried: number[] = [];
  assert.throws(() => pool.lease(kernel(3), 1, (port) => tried.push(port) < 0), InsufficientPorts);
  assert.deepEqual([tried, pool.free], [[5, 1, 3], 3]);
});

Deno.test("[04-D26] release() always gives every port back, once", () => {
  const pool = new PortPool(1, 3);
  pool.lease(kernel(1), 1);
  pool.lease(kernel(1), 1);
  assert.deepEqual([pool.heldBy(kernel(1)), pool.release(kernel(1)), pool.release(kernel(1))], [[1, 2], [1, 2], []]);
  assert.equal(pool.free, 3);
});

Deno.test("restore() takes the ports of a running kernel, but none outside the range or held by another", () => {
  const pool = new PortPool(1, 4);
  pool.restore(kernel(1), [2, 9, 4, 4]);
  pool.restore(kernel(2), [4, 1]);
  assert.deepEqual([pool.heldBy(kernel(1)), pool.heldBy(kernel(2)), pool.free], [[2, 4], [1], 1]);
  pool.restore(kernel(3), []);
  assert.deepEqual(pool.release(kernel(3)), []);
});

Deno.test("PortPool lends no port twice and gets every one back through any operations", () => {
  const operation = fc.record({
    kind: fc.constantFrom("lease", "release", "restore"),
    owner: fc.nat(4),
    count: fc.nat(6),
    unusable: fc.constantFrom(0, 1, 3, 7),
  });
  fc.assert(fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
    const pool = new PortPool(1000, 1011);
    for (const { kind, owner, count, unusable } of operations) {
      const before = pool.free;
      if (kind === "release") pool.release(kernel(owner));
      else if (kind === "restore") pool.restore(kernel(owner), [998 + count, 1000 + count, 1011 + count]);
      else leaseOrNothing(pool, kernel(owner), count, (port) => (port & unusable) === 0, before);
      assertDisjoint(pool);
    }
    for (let owner = 0; owner <= 4; owner++) pool.release(kernel(owner));
    const all = pool.lease(kernel(0), 12);
    assert.deepEqual(all.toSorted((a, b) => a - b), Array.from({ length: 12 }, (_, i) => 1000 + i));
  }));
});

function leaseOrNothing(
  pool: PortPool,
  owner: KernelId,
  count: number,
  usable: (port: number) => boolean,
  before: number,
) {
  const held = pool.heldBy(owner);
  try {
    const ports = pool.lease(owner, count, usable);
    assert.equal(ports.length, count);
    assert.ok(ports.every(usable));
    assert.deepEqual(pool.heldBy(owner), [...held, ...ports]);
  } catch (error) {
    assert.ok(error instanceof InsufficientPorts);
    assert.deepEqual([pool.free, pool.heldBy(owner)], [before, held]);
  }
}

function assertDisjoint(pool: PortPool) {
  const held = [0, 1, 2, 3, 4].flatMap((owner) => [...pool.heldBy(kernel(owner))]);
  assert.equal(new Set(held).size, held.length);
  assert.equal(pool.free + held.length, 12);
  assert.ok(held.every((port) => port >= 1000 && port <= 1011));
}

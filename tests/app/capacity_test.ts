import assert from "node:assert/strict";
import { StartFailed } from "../../domain/errors.ts";
import { COUNT } from "../../domain/resource/slots.ts";
import { intrinsicDevices, reportedSlots } from "../../src/app/capacity.ts";
import { GIB } from "./kernel_request.ts";

const HOST = { cores: 4, memoryBytes: 8n * GIB, cpuOvercommit: 1, reservedCpu: 1, reservedMemoryBytes: GIB };

Deno.test("[04-4.1] intrinsicDevices() are the cores, each as often as it may be shared, and the memory", () => {
  const devices = intrinsicDevices({ ...HOST, cores: 2, cpuOvercommit: 3 });
  assert.deepEqual(devices, [
    { slot: "cpu", id: "0", capacity: 3n * COUNT, kind: "discrete" },
    { slot: "cpu", id: "1", capacity: 3n * COUNT, kind: "discrete" },
    { slot: "mem", id: "root", capacity: 8n * GIB, kind: "discrete" },
  ]);
});

Deno.test("[04-4.2] reportedSlots() are cores times overcommit and memory, less the reservation", () => {
  assert.deepEqual(
    reportedSlots({ ...HOST, cpuOvercommit: 64 }),
    new Map([
      ["cpu", { unit: "count", amount: 255n * COUNT }],
      ["mem", { unit: "bytes", amount: 7n * GIB }],
    ]),
  );
});

Deno.test("[04-4.2] reportedSlots() fails if the reservation leaves nothing", () => {
  assert.throws(() => reportedSlots({ ...HOST, reservedCpu: 4 }), StartFailed);
  assert.throws(() => reportedSlots({ ...HOST, reservedMemoryBytes: 8n * GIB }), StartFailed);
});

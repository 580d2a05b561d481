import assert from "node:assert/strict";
import fc from "fast-check";
import {
  KernelMeter,
  type KernelMetrics,
  type KernelUsage,
  type Metric,
  NodeMeter,
  type NodeUsage,
} from "../../domain/stats/metrics.ts";
import { numberText, percentText } from "../../domain/stats/number_text.ts";

const MS = 1_000_000n;
const kernelUsage = (usage: Partial<KernelUsage> = {}): KernelUsage => ({
  cpuNs: 0n,
  memoryBytes: 0n,
  ioReadBytes: 0n,
  ioWriteBytes: 0n,
  scratchBytes: 0n,
  ...usage,
});
const nodeUsage = (usage: Partial<NodeUsage> = {}): NodeUsage => ({
  cpuMs: [0, 0],
  memoryUsedBytes: 0n,
  memoryTotalBytes: 16750592000n,
  disks: new Map(),
  netReceivedBytes: 0n,
  netSentBytes: 0n,
  ...usage,
});

Deno.test("[03-10.5] numberText() quantises half to even and prints neither exponent nor trailing zeros", () => {
  const table: [bigint, bigint, string][] = [
    [1000n, 1n, "1000"],
    [0n, 7n, "0"],
    [25n, 2n, "12.5"],
    [2n, 1000n, "0.002"],
    [5n, 10_000n, "0"],
    [15n, 10_000n, "0.002"],
    [25n, 10_000n, "0.002"],
    [-25n, 2n, "-12.5"],
    [25n, -2n, "-12.5"],
    [2001348n, 1000n, "2001.348"],
    [10n ** 24n, 1n, `1${"0".repeat(24)}`],
    [5n, 0n, "NaN"],
  ];
  for (const [numerator, denominator, text] of table) assert.equal(numberText(numerator, denominator), text);
});

Deno.test("[03-10.1] percentText() has two decimals, and is null unless the capacity is positive", () => {
  assert.equal(percentText(430000n, 2001348n), "21.49");
  assert.equal(percentText(3221225472n, 16750592000n), "19.23");
  assert.equal(percentText(8192n, 4096n), "200");
  assert.deepEqual([percentText(1n, 0n), percentText(1n, -1n)], [null, null]);
});

Deno.test("[03-10.2] NodeMeter gives the metrics of the contract's example", () => {
  const meter = new NodeMeter();
  const disks = new Map([["/dev/sda1", { usedBytes: 53687091200n, totalBytes: 210000000000n }]]);
  const usage = { memoryUsedBytes: 3221250048n, disks };
  assert.equal(meter.add(nodeUsage({ ...usage, cpuMs: [1000.5, 2000] }), 500), undefined);
  const now = { cpuMs: [1200.5, 2230], memoryUsedBytes: 3221225472n, netReceivedBytes: 2048n, netSentBytes: 1000n };
  const mem = {
    current: "3221225472",
    capacity: "16750592000",
    pct: "19.23",
    unit_hint: "bytes",
    "stats.max": "3221250048",
  };
  const disk = { current: "53687091200", capacity: "210000000000", pct: "25.57", unit_hint: "bytes" };
  const received = { current: "1023.31", capacity: null, pct: null, unit_hint: "bps" };
  const sent = { current: "499.663", capacity: null, pct: null, unit_hint: "bps" };
  assert.deepEqual(meter.add(nodeUsage({ ...usage, ...now }), 2501.348), {
    node: {
      cpu_util: { current: "430", capacity: "2001.348", pct: "21.49", unit_hint: "msec" },
      mem,
      disk,
      net_rx: received,
      net_tx: sent,
    },
    devices: {
      cpu_util: {
        0: { current: "200", capacity: "2001.348", pct: "9.99", unit_hint: "msec" },
        1: { current: "230", capacity: "2001.348", pct: "11.49", unit_hint: "msec" },
      },
      mem: { root: mem },
      disk: { "/dev/sda1": disk },
      net_rx: { node: received },
      net_tx: { node: sent },
    },
  });
});

Deno.test("[03-D8] NodeMeter gives nothing for its first sample, nor for one without time since the last", () => {
  const meter = new NodeMeter();
  assert.deepEqual([meter.add(nodeUsage(), 5), meter.add(nodeUsage(), 5), meter.add(nodeUsage(), 4)], [
    undefined,
    undefined,
    undefined,
  ]);
  assert.notEqual(meter.add(nodeUsage(), 6), undefined);
});

Deno.test("[03-D10] NodeMeter sums the disks it is given, each once", () => {
  const meter = new NodeMeter();
  const disks = new Map([["a", { usedBytes: 1n, totalBytes: 10n }], ["b", { usedBytes: 2n, totalBytes: 20n }]]);
  meter.add(nodeUsage({ disks }), 0);
  const disk = meter.add(nodeUsage({ disks }), 1)?.node["disk"];
  assert.deepEqual([disk?.current, disk?.capacity, disk?.pct], ["3", "30", "10"]);
});

Deno.test("NodeMeter counts a core that appears, and counters that go back, as no progress", () => {
  const meter = new NodeMeter();
  meter.add(nodeUsage({ cpuMs: [500], netReceivedBytes: 100n }), 0);
  const metrics = meter.add(nodeUsage({ cpuMs: [400, 900], netReceivedBytes: 50n }), 1000);
  assert.deepEqual([metrics?.node["cpu_util"]?.current, metrics?.node["net_rx"]?.current], ["0", "0"]);
});

Deno.test("[03-D5] KernelMeter's cpu_util is the percentage of one core since the previous sample", () => {
  const meter = new KernelMeter();
  meter.add(kernelUsage({ cpuNs: 100n * MS }), 0);
  const { cpu_util, cpu_used } = meter.add(kernelUsage({ cpuNs: 600n * MS }), 2000);
  assert.deepEqual([cpu_util?.current, cpu_util?.capacity, cpu_util?.pct, cpu_util?.unit_hint], [
    "500",
    "2000",
    "25",
    "percent",
  ]);
  assert.deepEqual(cpu_used, { current: "600", capacity: null, pct: null, unit_hint: "msec" });
});

Deno.test("[03-D6] KernelMeter's average and maximum of cpu_util are over the percentages", () => {
  const meter = new KernelMeter();
  meter.add(kernelUsage({ cpuNs: 5000n * MS }), 0);
  meter.add(kernelUsage({ cpuNs: 5500n * MS }), 1000);
  const { cpu_util } = meter.add(kernelUsage({ cpuNs: 6500n * MS }), 2000);
  assert.deepEqual([cpu_util?.["stats.avg"], cpu_util?.["stats.max"]], ["75", "100"]);
});

Deno.test("[03-D5] KernelMeter's mem.capacity is the peak, an integer", () => {
  const meter = new KernelMeter();
  meter.add(kernelUsage({ memoryBytes: 8192n, scratchBytes: 9n }), 0);
  const { mem, io_scratch_size } = meter.add(kernelUsage({ memoryBytes: 4096n, scratchBytes: 3n }), 1000);
  assert.deepEqual(mem, { current: "4096", capacity: "8192", pct: "50", unit_hint: "bytes", "stats.max": "8192" });
  assert.deepEqual([io_scratch_size?.current, io_scratch_size?.["stats.max"]], ["3", "9"]);
});

Deno.test("[03-10.4] KernelMeter's io rates are bytes per second between the last two samples", () => {
  const meter = new KernelMeter();
  meter.add(kernelUsage({ ioReadBytes: 100n, ioWriteBytes: 7n }), 0);
  const { io_read, io_write } = meter.add(kernelUsage({ ioReadBytes: 1124n, ioWriteBytes: 7n }), 3000);
  assert.deepEqual([io_read?.current, io_read?.["stats.rate"], io_write?.["stats.rate"]], ["1124", "341.333", "0"]);
});

Deno.test("KernelMeter keeps its rates when a sample brings no time", () => {
  const meter = new KernelMeter();
  meter.add(kernelUsage(), 0);
  meter.add(kernelUsage({ cpuNs: 500n * MS }), 1000);
  const { cpu_util } = meter.add(kernelUsage({ cpuNs: 900n * MS }), 1000);
  assert.equal(cpu_util?.pct, "50");
  assert.equal(meter.add(kernelUsage({ cpuNs: 1000n * MS }), 2000)["cpu_util"]?.current, "500");
});

const NUMBER = /^\d+(\.\d{0,2}[1-9])?$/;
const counter = fc.bigInt({ min: 0n, max: 2n ** 62n });
const kernelSamples = fc.array(
  fc.record({
    usage: fc.record({
      cpuNs: counter,
      memoryBytes: counter,
      ioReadBytes: counter,
      ioWriteBytes: counter,
      scratchBytes: counter,
    }),
    afterMs: fc.double({ min: 0, max: 1e7, noNaN: true }),
  }),
  { minLength: 1, maxLength: 12 },
);

Deno.test("[03-9] KernelMeter always gives all six metrics in the form every reader of the manager needs", () => {
  fc.assert(fc.property(kernelSamples, (samples) => {
    const meter = new KernelMeter();
    let atMs = 0;
    for (const { usage, afterMs } of samples) {
      const metrics = meter.add(usage, atMs += afterMs);
      assertReadable(metrics);
      assert.equal(metrics["mem"]?.current, usage.memoryBytes.toString());
    }
    const peak = samples.reduce((max, { usage }) => usage.memoryBytes > max ? usage.memoryBytes : max, 0n);
    assert.equal(meter.add(kernelUsage(), atMs + 1)["mem"]?.["stats.max"], peak.toString());
  }));
});

/** What 03 §9 says the manager parses. */
function assertReadable(metrics: KernelMetrics) {
  const at = (metric: string, key: keyof Metric) => String(metrics[metric]?.[key]);
  assert.deepEqual(Object.keys(metrics), ["cpu_util", "cpu_used", "mem", "io_read", "io_write", "io_scratch_size"]);
  for (const text of [at("cpu_used", "current"), at("cpu_util", "pct"), at("cpu_util", "current")]) {
    assert.match(text, NUMBER);
  }
  for (const key of ["stats.avg", "stats.max"] as const) assert.match(at("cpu_util", key), NUMBER);
  const integers = [
    at("mem", "current"),
    at("mem", "capacity"),
    at("mem", "stats.max"),
    at("io_read", "current"),
    at("io_write", "current"),
    at("io_scratch_size", "current"),
    at("io_scratch_size", "stats.max"),
  ];
  for (const text of integers) assert.match(text, /^\d+$/);
}

Deno.test("[03-9] NodeMeter's node.cpu_util.pct and node.mem.current are always numbers", () => {
  const sample = fc.record({
    cpuMs: fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { maxLength: 4 }),
    memoryUsedBytes: counter,
    netReceivedBytes: counter,
    netSentBytes: counter,
    afterMs: fc.double({ min: 0.01, max: 1e7, noNaN: true }),
  });
  fc.assert(fc.property(fc.array(sample, { maxLength: 8 }), (samples) => {
    const meter = new NodeMeter();
    let atMs = 0;
    samples.forEach(({ afterMs, ...usage }, index) => {
      const metrics = meter.add(nodeUsage(usage), atMs += afterMs);
      assert.equal(metrics === undefined, index === 0);
      if (metrics === undefined) return;
      assert.match(String(metrics.node["cpu_util"]?.pct), NUMBER);
      assert.equal(metrics.node["mem"]?.current, usage.memoryUsedBytes.toString());
      assert.deepEqual(Object.keys(metrics.devices), Object.keys(metrics.node));
    });
  }));
});

/** From counters to what the manager shows. Source: 03 §10, with its corrections D5, D6, D8 and D10. */
import { numberText, percentText } from "./number_text.ts";

/** One metric, as it is written. All numbers are text. Source: 03 §10.1. */
export interface Metric {
  readonly current: string;
  readonly capacity: string | null;
  readonly pct: string | null;
  readonly unit_hint: string;
  readonly [stat: `stats.${string}`]: string;
}

export type KernelMetrics = Readonly<Record<string, Metric>>;

export interface NodeMetrics {
  readonly node: Readonly<Record<string, Metric>>;
  readonly devices: Readonly<Record<string, Readonly<Record<string, Metric>>>>;
}

/** Counters of one container since its start. */
export interface KernelUsage {
  /** CPU time, ns. */
  readonly cpuNs: bigint;
  readonly memoryBytes: bigint;
  readonly ioReadBytes: bigint;
  readonly ioWriteBytes: bigint;
  /** Regular files and symlinks below the work directory. */
  readonly scratchBytes: bigint;
}

/** Counters of the host. */
export interface NodeUsage {
  /** User and system time since boot, per core, ms; the index is the core. */
  readonly cpuMs: readonly number[];
  readonly memoryUsedBytes: bigint;
  readonly memoryTotalBytes: bigint;
  /** Mounted physical file systems, each device once (03-D10), by device path. */
  readonly disks: ReadonlyMap<string, { readonly usedBytes: bigint; readonly totalBytes: bigint }>;
  /** Over all interfaces since boot. */
  readonly netReceivedBytes: bigint;
  readonly netSentBytes: bigint;
}

/** Time is counted in whole microseconds, so that all arithmetic is exact. */
type Micros = bigint;
const MICROS_PER_MS = 1000n;
const MICROS_PER_SECOND = 1_000_000n;

function micros(ms: number): Micros {
  return BigInt(Math.round(ms * 1000));
}

/** A value of a metric; numerator and denominator of an exact fraction. */
type Fraction = readonly [numerator: bigint, denominator: bigint];
const ZERO: Fraction = [0n, 1n];

/** Bytes per second. Counters that went back (a restart) count as no progress. */
function perSecond(before: bigint, now: bigint, elapsed: Micros): Fraction {
  return now > before && elapsed > 0n ? [(now - before) * MICROS_PER_SECOND, elapsed] : ZERO;
}

function byteMetric(current: bigint, capacity: bigint | null): Metric {
  return {
    current: current.toString(),
    capacity: capacity === null ? null : capacity.toString(),
    pct: capacity === null ? null : percentText(current, capacity),
    unit_hint: "bytes",
  };
}

function cpuMetric(used: Micros, elapsed: Micros, unitHint: string): Metric {
  return {
    current: numberText(used, MICROS_PER_MS),
    capacity: numberText(elapsed, MICROS_PER_MS),
    // The manager reads this as a number in every case, so it is never null (03 §9).
    pct: percentText(used, elapsed) ?? "0",
    unit_hint: unitHint,
  };
}

/** The label says bits, the value is bytes: kept for the manager (03-D9). */
function rateMetric(rate: Fraction): Metric {
  return { current: numberText(...rate), capacity: null, pct: null, unit_hint: "bps" };
}

/**
 * Statistics of one kernel over the samples it is given. `cpu_util` is the percentage of one core since the previous
 * sample, and its average and maximum are over those percentages (03-D5, 03-D6). The first sample has no previous one:
 * everything that needs one is 0, and no field that a reader needs is missing.
 */
export class KernelMeter {
  #last: { readonly usage: KernelUsage; readonly at: Micros } | undefined;
  #cpu = cpuMetric(0n, 0n, "percent");
  /** Utilisations in 1/1000 percent. */
  #utilisation = { sum: 0n, count: 0n, max: 0n };
  #readRate = ZERO;
  #writeRate = ZERO;
  #memoryPeak = 0n;
  #scratchPeak = 0n;

  /** @param atMs a clock that never goes back. A sample no later than the previous one changes no rates. */
  add(usage: KernelUsage, atMs: number): KernelMetrics {
    const at = micros(atMs);
    const last = this.#last;
    if (last === undefined) this.#last = { usage, at };
    else if (at > last.at) this.#advance(last.usage, usage, at - last.at, at);
    this.#memoryPeak = max(this.#memoryPeak, usage.memoryBytes);
    this.#scratchPeak = max(this.#scratchPeak, usage.scratchBytes);
    return this.#metrics(usage);
  }

  #advance(before: KernelUsage, now: KernelUsage, elapsed: Micros, at: Micros): void {
    const used = max(0n, now.cpuNs - before.cpuNs) / 1000n;
    const utilisation = used * 100_000n / elapsed;
    const { sum, count, max: highest } = this.#utilisation;
    this.#utilisation = { sum: sum + utilisation, count: count + 1n, max: max(highest, utilisation) };
    this.#cpu = cpuMetric(used, elapsed, "percent");
    this.#readRate = perSecond(before.ioReadBytes, now.ioReadBytes, elapsed);
    this.#writeRate = perSecond(before.ioWriteBytes, now.ioWriteBytes, elapsed);
    this.#last = { usage: now, at };
  }

  #metrics(usage: KernelUsage): KernelMetrics {
    const { sum, count, max: highest } = this.#utilisation;
    return {
      cpu_util: {
        ...this.#cpu,
        "stats.avg": count === 0n ? "0" : numberText(sum, 1000n * count),
        "stats.max": numberText(highest, 1000n),
      },
      cpu_used: { current: numberText(usage.cpuNs, 1_000_000n), capacity: null, pct: null, unit_hint: "msec" },
      // The manager's usage report prints this capacity as "memory used": the peak keeps it truthful (03-D5).
      mem: { ...byteMetric(usage.memoryBytes, this.#memoryPeak), "stats.max": this.#memoryPeak.toString() },
      io_read: { ...byteMetric(usage.ioReadBytes, null), "stats.rate": numberText(...this.#readRate) },
      io_write: { ...byteMetric(usage.ioWriteBytes, null), "stats.rate": numberText(...this.#writeRate) },
      io_scratch_size: { ...byteMetric(usage.scratchBytes, null), "stats.max": this.#scratchPeak.toString() },
    };
  }
}

/** Statistics of this host over the samples it is given. */
export class NodeMeter {
  #last: { readonly usage: NodeUsage; readonly at: Micros } | undefined;
  #memoryPeak = 0n;

  /**
   * Undefined for the first sample, which only begins the count (03-D8), and for one that is no later than the previous.
   * @param atMs a clock that never goes back.
   */
  add(usage: NodeUsage, atMs: number): NodeMetrics | undefined {
    const at = micros(atMs);
    const last = this.#last;
    if (last !== undefined && at <= last.at) return undefined;
    this.#last = { usage, at };
    this.#memoryPeak = max(this.#memoryPeak, usage.memoryUsedBytes);
    return last === undefined ? undefined : this.#metrics(last.usage, usage, at - last.at);
  }

  #metrics(before: NodeUsage, now: NodeUsage, elapsed: Micros): NodeMetrics {
    const cores = now.cpuMs.map((ms, core) => max(0n, micros(ms) - micros(before.cpuMs[core] ?? ms)));
    const busy = cores.reduce((sum, used) => sum + used, 0n);
    const memory = byteMetric(now.memoryUsedBytes, now.memoryTotalBytes);
    const mem = { ...memory, "stats.max": this.#memoryPeak.toString() };
    const received = rateMetric(perSecond(before.netReceivedBytes, now.netReceivedBytes, elapsed));
    const sent = rateMetric(perSecond(before.netSentBytes, now.netSentBytes, elapsed));
    const disks = [...now.disks].map(([path, disk]) => [path, byteMetric(disk.usedBytes, disk.totalBytes)] as const);
    return {
      node: {
        cpu_util: cpuMetric(busy, elapsed, "msec"),
        mem,
        disk: allDisks(now.disks),
        net_rx: received,
        net_tx: sent,
      },
      devices: {
        cpu_util: Object.fromEntries(cores.map((used, core) => [core, cpuMetric(used, elapsed, "msec")])),
        mem: { root: mem },
        disk: Object.fromEntries(disks),
        net_rx: { node: received },
        net_tx: { node: sent },
      },
    };
  }
}

function allDisks(disks: NodeUsage["disks"]): Metric {
  let [used, total] = [0n, 0n];
  for (const disk of disks.values()) {
    used += disk.usedBytes;
    total += disk.totalBytes;
  }
  return byteMetric(used, total);
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** From what `rpcbench.py` writes to a table of both agents, their ratio and the target. */

/** Figures of one agent by name; each a number, or a map of numbers. */
export type Figures = Readonly<Record<string, unknown>>;

interface Row {
  readonly title: string;
  /** Path into {@linkcode Figures}. */
  readonly path: readonly string[];
  readonly unit: string;
  readonly target: string;
}

const ROWS: readonly Row[] = [
  { title: "ping p50, 1 client", path: ["ping_sequential", "p50"], unit: "ms", target: "<= original" },
  { title: "ping p99, 1 client", path: ["ping_sequential", "p99"], unit: "ms", target: "" },
  { title: "ping, 16 clients (Python client)", path: ["ping_16_clients_per_s"], unit: "/s", target: "" },
  { title: "ping p50, 16 clients", path: ["ping_16_clients", "p50"], unit: "ms", target: "" },
  { title: "ping p99, 16 clients", path: ["ping_16_clients", "p99"], unit: "ms", target: "" },
  { title: "raw engine create+start p50", path: ["docker_raw_create_start", "p50"], unit: "ms", target: "" },
  { title: "create_kernel p50", path: ["create_kernel_rpc", "p50"], unit: "ms", target: "" },
  { title: "create_kernel p50 over raw", path: ["create_kernel_overhead_p50_ms"], unit: "ms", target: "<= 20" },
  { title: "create to first print(1) p50", path: ["create_to_first_print", "p50"], unit: "ms", target: "<= 800" },
  { title: "raw engine kill p50", path: ["docker_raw_kill", "p50"], unit: "ms", target: "" },
  { title: "destroy_kernel p50", path: ["destroy_kernel_rpc", "p50"], unit: "ms", target: "" },
  { title: "destroy_kernel p50 over raw", path: ["destroy_kernel_overhead_p50_ms"], unit: "ms", target: "<= 20" },
  { title: "until kernel_terminated p50", path: ["destroy_to_terminated_event", "p50"], unit: "ms", target: "" },
  { title: "until removed p50", path: ["destroy_to_container_removed", "p50"], unit: "ms", target: "" },
  { title: "execute print(1) p50", path: ["execute_print1", "p50"], unit: "ms", target: "<= 5" },
  { title: "execute print(1) p99", path: ["execute_print1", "p99"], unit: "ms", target: "" },
  { title: "batch echo p50", path: ["execute_batch_echo", "p50"], unit: "ms", target: "" },
  { title: "10 MB of output", path: ["execute_10MB_output", "s"], unit: "s", target: "" },
  { title: "process tree, idle", path: ["load_idle", "tree_rss_mb"], unit: "MB", target: "<= 120" },
  { title: "process tree, 10 kernels", path: ["load_10_kernels", "tree_rss_mb"], unit: "MB", target: "" },
  { title: "process tree, 30 kernels", path: ["load_30_kernels", "tree_rss_mb"], unit: "MB", target: "<= 120" },
  { title: "CPU, idle", path: ["load_idle", "tree_cpu_pct"], unit: "%", target: "" },
  { title: "CPU, 10 kernels", path: ["load_10_kernels", "tree_cpu_pct"], unit: "%", target: "" },
  { title: "CPU, 30 kernels", path: ["load_30_kernels", "tree_cpu_pct"], unit: "%", target: "" },
  { title: "30 destroys at once", path: ["destroy_30_at_once_s"], unit: "s", target: "" },
  { title: "start to first heartbeat p50", path: ["start_to_first_heartbeat", "p50"], unit: "ms", target: "<= 1000" },
];

export type FigureRow = readonly [title: string, ours: string, original: string, ratio: string, target: string];

/** One row a figure; what was not measured is a dash. */
export function figureRows(ours: Figures | undefined, original: Figures | undefined): readonly FigureRow[] {
  return ROWS.map(({ title, path, unit, target }) => {
    const [a, b] = [numberAt(ours, path), numberAt(original, path)];
    const ratio = a === undefined || b === undefined || b === 0 ? "–" : (a / b).toFixed(2);
    return [title, withUnit(a, unit), withUnit(b, unit), ratio, target];
  });
}

/** The rows as aligned text under a head line. */
export function table(rows: readonly FigureRow[]): string {
  const all = [["figure", "ours", "original", "ours/original", "target"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()).join("\n");
}

function numberAt(figures: Figures | undefined, path: readonly string[]): number | undefined {
  let value: unknown = figures;
  for (const name of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[name]; // any map: checked for being one
  }
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function withUnit(value: number | undefined, unit: string): string {
  return value === undefined ? "–" : `${value} ${unit}`;
}

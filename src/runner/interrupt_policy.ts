/** What the n-th interrupt of one run does to it: programs may ignore the gentle ones. `n` counts from 1. */
export function interruptSignal(n: number): "SIGINT" | "SIGTERM" | "SIGKILL" {
  if (n <= 2) return "SIGINT";
  return n === 3 ? "SIGTERM" : "SIGKILL";
}

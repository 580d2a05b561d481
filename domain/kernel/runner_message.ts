/** What the agent and the program inside a kernel's container say to each other. Source: 06 §3, §4. */

/** Agent to runner. */
export type RunnerCommand =
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "clean" | "build" | "exec"; readonly command: string }
  | { readonly kind: "input"; readonly text: string }
  | { readonly kind: "interrupt" }
  | { readonly kind: "status" }
  | { readonly kind: "complete"; readonly code: string; readonly options: Readonly<Record<string, unknown>> };

/** Runner to agent. */
export type RunnerMessage = OutputRecord | ControlRecord | RunnerReply;

/** Output of the current run. `data` is raw bytes, possibly cut inside a UTF-8 sequence. */
export type OutputRecord =
  | { readonly kind: "stdout" | "stderr"; readonly data: Uint8Array }
  | { readonly kind: "media"; readonly type: string; readonly data: unknown }
  | { readonly kind: "html" | "log"; readonly text: string };

/** Ends one `execute` call; `finished` ends the run as well. */
export type ControlRecord =
  | { readonly kind: "clean-finished" | "build-finished" | "finished"; readonly exitCode: number | null }
  | { readonly kind: "waiting-input"; readonly options: Readonly<Record<string, unknown>> };

/** Answers to commands that are not part of a run. */
export type RunnerReply =
  | { readonly kind: "status"; readonly startedAt: number }
  | { readonly kind: "completion"; readonly items: readonly string[] };

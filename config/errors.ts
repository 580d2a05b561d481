/** One thing wrong with the configuration. */
export interface Problem {
  /** Dotted key, e.g. `agent.rpc-listen-addr.port`. */
  readonly key: string;
  readonly reason: string;
  /** Where the value came from, e.g. `/etc/backend.ai/agent.toml:12`; undefined for a missing key. */
  readonly origin: string | undefined;
}

/** The configuration cannot be used; the program prints the text and ends. Source of the wording: 05 §4.1. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
  constructor(summary: string, readonly problems: readonly Problem[] = [], options?: ErrorOptions) {
    super([summary, ...problems.map(formatProblem)].join("\n"), options);
  }
}

export function formatProblem({ key, reason, origin }: Problem): string {
  return `  ${key}: ${reason}${origin === undefined ? "" : ` (${origin})`}`;
}

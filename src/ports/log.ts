/** The operator's log. Fixed messages, data in fields; never a secret or user code in a field. Never throws. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  /** Something is not as it should be, and the agent copes. */
  warn(message: string, fields?: LogFields): void;
  /** Somebody should look. */
  error(message: string, fields?: LogFields): void;
}

/** Plain values; an `Error` is printed with its chain of causes. */
export type LogFields = Readonly<Record<string, unknown>>;

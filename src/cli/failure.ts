/** Exit codes of the command line, and the failures that carry them. */
export const EXIT = {
  ok: 0,
  /** The agent, the engine or the kernel said no. */
  refused: 1,
  usage: 2,
  /** Nobody answered in time. */
  unreachable: 3,
  /** What a shell reports for a program that Ctrl-C ended. */
  interrupted: 130,
} as const;

/** A failure that a person can act on: printed as one line, without a stack. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  constructor(message: string, readonly exitCode: number = EXIT.refused, options?: ErrorOptions) {
    super(message, options);
  }
}

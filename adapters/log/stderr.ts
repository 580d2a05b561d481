/** Where the text of a log goes. */
export interface LogOutput {
  /** May throw; the record is then lost. */
  write(text: string): void;
  readonly isTerminal: boolean;
  readonly pid: number;
}

const ENCODER = new TextEncoder();

/** Standard error of this process. Writes at once, so that the last words before a crash are not lost. */
export function stderrOutput(): LogOutput {
  return {
    isTerminal: Deno.stderr.isTerminal(),
    pid: Deno.pid,
    write(text) {
      let rest = ENCODER.encode(text);
      while (rest.length > 0) rest = rest.subarray(Deno.stderr.writeSync(rest));
    },
  };
}

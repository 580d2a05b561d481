/** Standard input, output and error as a run of code uses them. */
import { CommandFailed } from "./failure.ts";
import type { ConsoleItem } from "./replies.ts";
import type { RunTerminal } from "./run_code.ts";

const encoder = new TextEncoder();

export function writeOut(text: string): void {
  writeAll(Deno.stdout, text);
}

export function writeError(text: string): void {
  writeAll(Deno.stderr, text);
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
}

/** All of standard input, as text. */
export async function readStandardInput(): Promise<string> {
  return await new Response(Deno.stdin.readable).text();
}

export class ProcessTerminal implements RunTerminal {
  /** What was read beyond the last line end. */
  #rest = "";

  show([kind, data]: ConsoleItem): void {
    if (kind === "stderr") writeError(String(data));
    else if (kind === "stdout" || kind === "log" || kind === "html") writeOut(String(data));
    else writeOut(`[${kind}${Array.isArray(data) ? ` ${String(data[0])}` : ""}]\n`); // a picture, say
  }

  async ask(isPassword: boolean): Promise<string> {
    const hidden = isPassword && Deno.stdin.isTerminal();
    if (hidden) Deno.stdin.setRaw(true, { cbreak: true }); // no echo; Ctrl-C still works
    try {
      return await this.#line(hidden);
    } finally {
      if (hidden) {
        Deno.stdin.setRaw(false);
        writeOut("\n");
      }
    }
  }

  /** @param edit whether backspaces arrive as characters because the terminal does not handle them */
  async #line(edit: boolean): Promise<string> {
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(4096);
    while (!/[\r\n]/.test(this.#rest)) {
      const count = await Deno.stdin.read(chunk);
      if (count === null) throw new CommandFailed("the code waits for input, and standard input has ended");
      this.#rest += decoder.decode(chunk.subarray(0, count), { stream: true });
    }
    const [, line = "", rest = ""] = /^([^\r\n]*)\r?\n?([^]*)$/.exec(this.#rest) ?? [];
    this.#rest = rest;
    return edit ? withoutErased(line) : line;
  }
}

/** `ab\x7fc` is what arrives when somebody types `a`, `b`, backspace, `c`. */
export function withoutErased(line: string): string {
  const kept: string[] = [];
  for (const character of line) {
    if (character === "\x7f" || character === "\b") kept.pop();
    else kept.push(character);
  }
  return kept.join("");
}

/** Longest message taken. The engine's own are below 100 kB; a longer one means that this is no stream of messages. */
const MAX_LINE_BYTES = 1024 * 1024;

/**
 * Cuts a byte stream into lines and parses each as JSON. Empty lines are skipped; a last line without an end counts.
 * @throws {SyntaxError} for a line that is not JSON or longer than 1 MiB.
 */
export async function* jsonLines(chunks: AsyncIterable<Uint8Array>): AsyncIterable<unknown> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_BYTES) throw new SyntaxError(`a line of more than ${MAX_LINE_BYTES} bytes`);
    for (const line of lines) {
      if (line.trim() !== "") yield parseLine(line);
    }
  }
  if (rest.trim() !== "") yield parseLine(rest);
}

function parseLine(line: string): unknown {
  return JSON.parse(line);
}

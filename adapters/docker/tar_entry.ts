/**
 * The first regular file of a tar archive, as much of it as `archive` holds, at most `maxBytes`; undefined if the archive
 * begins with anything else. Records that only describe the next entry (PAX, GNU long names) are passed over.
 * Source: POSIX.1-2017, pax, "ustar Interchange Format".
 */
export function firstFile(archive: Uint8Array, maxBytes: number): Uint8Array | undefined {
  let at = 0;
  while (at + BLOCK <= archive.length) {
    const header = archive.subarray(at, at + BLOCK);
    if (!isHeader(header)) return undefined;
    const size = octal(header, 124, 12);
    const type = String.fromCharCode(header[156] ?? 0);
    at += BLOCK;
    if (type === "0" || type === "\0") return archive.subarray(at, at + Math.min(size, maxBytes));
    if (!DESCRIBING.has(type)) return undefined;
    at += Math.ceil(size / BLOCK) * BLOCK;
  }
  return undefined;
}

const BLOCK = 512;
const DESCRIBING: ReadonlySet<string> = new Set(["x", "g", "L", "K"]);

/** The sum of a header's bytes, its own field counted as blanks, stands in that field. */
function isHeader(header: Uint8Array): boolean {
  let sum = 0;
  header.forEach((byte, index) => sum += index >= 148 && index < 156 ? 0x20 : byte);
  return sum === octal(header, 148, 8);
}

function octal(header: Uint8Array, at: number, length: number): number {
  const text = String.fromCharCode(...header.subarray(at, at + length)).replace(/[\0 ]+$/, "").trimStart();
  return /^[0-7]+$/.test(text) ? parseInt(text, 8) : Number.NaN;
}

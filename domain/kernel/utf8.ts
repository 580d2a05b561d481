/** UTF-8 that arrives in pieces. */

/**
 * How many bytes at the end of `bytes[start, end)` are the beginning of a character that more bytes could complete:
 * 0 to 3. Everything before them decodes the same whatever follows.
 */
export function incompleteTail(bytes: Uint8Array, start: number, end: number): number {
  for (let length = 1; length <= 3 && end - length >= start; length++) {
    const byte = bytes[end - length] ?? 0;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue; // a continuation byte: the lead is further left
    const second = length === 1 ? undefined : bytes[end - length + 1];
    return length < sequenceLength(byte) && fits(byte, second) ? length : 0;
  }
  return 0;
}

/** Bytes of the sequence that `lead` begins; 0 if none does. */
function sequenceLength(lead: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** Whether `second` may follow `lead`: overlong forms, surrogates and values beyond U+10FFFF are cut off here. */
function fits(lead: number, second: number | undefined): boolean {
  if (second === undefined) return true;
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second < 0xa0;
  if (lead === 0xf0) return second >= 0x90;
  return lead !== 0xf4 || second < 0x90;
}

/** Length of `text` in UTF-8; a lone surrogate counts as the three bytes of U+FFFD. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    length += unit < 0x800 ? 1 : 2;
    const paired = unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
    if (paired) i++; // two units, four bytes: counted with the first
  }
  return length;
}

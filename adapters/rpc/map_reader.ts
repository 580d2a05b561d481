import { InvalidField } from "../../domain/errors.ts";

/** Field names in messages are cut here: they may be the peer's own choice. */
const PATH_CHARACTERS = 200;

/**
 * A map of a request, read field by field: what a peer sends has any shape. Own fields only, so that no name finds
 * something on a prototype. Null counts as absent where a method is called `optional…`.
 */
export class MapReader {
  readonly #fields: Readonly<Record<string, unknown>>;

  /** @throws {InvalidField} unless `value` is a map. */
  constructor(value: unknown, readonly path: string) {
    if (!isRecord(value)) throw new InvalidField(path, "a map", value);
    this.#fields = value;
  }

  /** `path.name`, for messages. */
  pathOf(name: string): string {
    return `${this.path}.${name}`.slice(0, PATH_CHARACTERS);
  }

  /** Undefined if there is no such field. */
  value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  /** @throws {InvalidField} if there are more than `limit`. */
  entries(limit: number): readonly (readonly [string, unknown])[] {
    const entries = Object.entries(this.#fields);
    if (entries.length > limit) throw new InvalidField(this.path, `at most ${limit} entries`, entries);
    return entries;
  }

  text(name: string, limit: number): string {
    return checkText(this.value(name), this.pathOf(name), limit);
  }

  optionalText(name: string, limit: number): string | undefined {
    return this.value(name) == null ? undefined : this.text(name, limit);
  }

  /** False if absent. */
  optionalFlag(name: string): boolean {
    const value = this.value(name) ?? false;
    if (typeof value !== "boolean") throw new InvalidField(this.pathOf(name), "true or false", value);
    return value;
  }

  /** A whole number that is not negative; undefined if absent. */
  optionalCount(name: string): number | undefined {
    const value = this.value(name) ?? undefined;
    if (value === undefined) return undefined;
    const count = typeof value === "bigint" ? Number(value) : value;
    if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0) return count;
    throw new InvalidField(this.pathOf(name), "a whole number, not negative", value);
  }

  map(name: string): MapReader {
    return new MapReader(this.value(name), this.pathOf(name));
  }

  optionalMap(name: string): MapReader | undefined {
    return this.value(name) == null ? undefined : this.map(name);
  }

  /** Empty if absent. */
  optionalArray(name: string, limit: number): readonly unknown[] {
    const value = this.value(name) ?? [];
    if (!Array.isArray(value)) throw new InvalidField(this.pathOf(name), "an array", value);
    if (value.length > limit) throw new InvalidField(this.pathOf(name), `at most ${limit} elements`, value);
    return value;
  }
}

/** @throws {InvalidField} unless `value` is text of at most `limit` characters without NUL. */
export function checkText(value: unknown, path: string, limit: number): string {
  if (typeof value !== "string") throw new InvalidField(path, "text", value);
  if (value.length > limit) throw new InvalidField(path, `text of at most ${limit} characters`, value);
  if (value.includes("\0")) throw new InvalidField(path, "text without NUL", value);
  return value;
}

/** Whether this is a map as the decoder makes them: binary data, extension values and arrays are not. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

import { InvalidField } from "../../domain/errors.ts";

/**
 * A value inside a JSON reply, and where it stands. Reading it as something that it is not throws {@linkcode InvalidField}
 * with that place. Engines leave empty lists and maps out or send `null`; both read as empty here.
 */
export class ReplyValue {
  readonly #value: unknown;
  readonly #place: string;

  constructor(value: unknown, place = "reply") {
    this.#value = value;
    this.#place = place;
  }

  /** The member `key` of a map; a missing one is absent. */
  at(key: string): ReplyValue {
    const place = `${this.#place}.${key}`;
    if (this.absent) return new ReplyValue(undefined, place);
    const map = this.#map();
    return new ReplyValue(Object.hasOwn(map, key) ? map[key] : undefined, place);
  }

  get absent(): boolean {
    return this.#value === undefined || this.#value === null;
  }

  /** The raw value, for a parser that checks by itself. */
  get unknown(): unknown {
    return this.#value;
  }

  get text(): string {
    if (typeof this.#value !== "string") throw this.#unlike("text");
    return this.#value;
  }

  get flag(): boolean {
    if (typeof this.#value !== "boolean") throw this.#unlike("true or false");
    return this.#value;
  }

  get integer(): number {
    if (!Number.isSafeInteger(this.#value)) throw this.#unlike("a whole number");
    return Number(this.#value);
  }

  get list(): readonly ReplyValue[] {
    if (this.absent) return [];
    if (!Array.isArray(this.#value)) throw this.#unlike("an array");
    return this.#value.map((item, index) => new ReplyValue(item, `${this.#place}[${index}]`));
  }

  get entries(): readonly (readonly [string, ReplyValue])[] {
    if (this.absent) return [];
    return Object.entries(this.#map()).map(([key, value]) => [key, new ReplyValue(value, `${this.#place}.${key}`)]);
  }

  get texts(): ReadonlyMap<string, string> {
    return new Map(this.entries.map(([key, value]) => [key, value.text]));
  }

  #map(): Readonly<Record<string, unknown>> {
    if (typeof this.#value !== "object" || this.#value === null || Array.isArray(this.#value)) {
      throw this.#unlike("a map");
    }
    return this.#value as Record<string, unknown>; // just checked; its members are read through `at`
  }

  #unlike(expected: string): InvalidField {
    return new InvalidField(this.#place, expected, this.#value);
  }
}

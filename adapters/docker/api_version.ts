import { InvalidField } from "../../domain/errors.ts";
import type { ReplyValue } from "./reply.ts";

/** The oldest API this adapter speaks (Engine 17.12), that of the original agent. Source: 04 §1. */
export const OLDEST_VERSION = "1.35";
/** The newest API whose description this adapter was checked against (Engine 28.3). */
export const NEWEST_VERSION = "1.51";

/**
 * The API version to speak, from the reply of `GET /version`: the newest that both sides know. An engine that has already
 * dropped ours is asked for the oldest it still has, which is the likeliest to be understood.
 * @throws {InvalidField} if the engine is older than {@linkcode OLDEST_VERSION}.
 */
export function negotiateVersion(reply: ReplyValue): string {
  const newest = parse(reply.at("ApiVersion"));
  const oldest = reply.at("MinAPIVersion").absent ? newest : parse(reply.at("MinAPIVersion"));
  if (compare(newest, OLDEST_VERSION) < 0) {
    throw new InvalidField("ApiVersion", `at least ${OLDEST_VERSION}`, newest);
  }
  if (compare(newest, NEWEST_VERSION) <= 0) return newest;
  return compare(oldest, NEWEST_VERSION) > 0 ? oldest : NEWEST_VERSION;
}

function parse(value: ReplyValue): string {
  const version = value.text;
  if (!/^\d{1,4}\.\d{1,4}$/.test(version)) throw new InvalidField("ApiVersion", "a version like 1.41", version);
  return version;
}

/** Below 0 if `a` is older than `b`: 1.9 is older than 1.35. */
export function compare(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split(".").map(Number);
  const [majorB = 0, minorB = 0] = b.split(".").map(Number);
  return majorA - majorB || minorA - minorB;
}

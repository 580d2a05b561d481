/** Where a logical key stands in etcd, and how free text becomes a key component. Source: 03 §2. No I/O. */
import type { ConfigScope, ReadScope } from "../../src/ports/config_store.ts";

/** What the physical keys depend on. None of the three is quoted (03 §2.1). */
export interface KeyLayout {
  readonly namespace: string;
  readonly scalingGroup: string;
  readonly agentId: string;
}

/** The scopes that a read looks at, the winning one first. Source: 03 §2.1. */
export function scopesOf(scope: ReadScope): readonly ConfigScope[] {
  return scope === "merged" ? ["node", "scaling-group", "global"] : [scope];
}

/** One leading slash of the logical key is removed; a trailing one is part of the key (03 §4). */
export function physicalKey(layout: KeyLayout, scope: ConfigScope, key: string): string {
  return `/sorna/${layout.namespace}/${scopePrefix(layout, scope)}${key.replace(/^\//, "")}`;
}

function scopePrefix(layout: KeyLayout, scope: ConfigScope): string {
  switch (scope) {
    case "global":
      return "";
    case "scaling-group":
      return `sgroup/${layout.scalingGroup}/`;
    case "node":
      return `nodes/agents/${layout.agentId}/`;
    default:
      return scope satisfies never;
  }
}

/**
 * The end of the smallest range that starts at `prefix` and holds it and everything below it: `0` is the character after
 * `/`. The range also holds neighbours such as `prefix-2`, which the reader has to leave out.
 */
export function endOfRange(prefix: string): string {
  return prefix.endsWith("/") ? `${prefix.slice(0, -1)}0` : `${prefix}0`;
}

/** Percent-encodes free text (a registry, an image name) into one component; letters, digits and `_.-` stay. Source: 03 §2.2. */
export function quoteComponent(text: string): string {
  return encodeURIComponent(text).replace(
    /[!~*'()]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** @throws {URIError} if `component` holds a malformed escape. */
export function unquoteComponent(component: string): string {
  return decodeURIComponent(component);
}

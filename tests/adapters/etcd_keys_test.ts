import assert from "node:assert/strict";
import fc from "fast-check";
import {
  endOfRange,
  type KeyLayout,
  physicalKey,
  quoteComponent,
  scopesOf,
  unquoteComponent,
} from "../../adapters/etcd/keys.ts";
import type { ConfigScope } from "../../src/ports/config_store.ts";

const layout: KeyLayout = { namespace: "local", scalingGroup: "default", agentId: "i-worker1" };

const PHYSICAL: readonly (readonly [ConfigScope, string, string])[] = [
  ["global", "config/redis/addr", "/sorna/local/config/redis/addr"],
  ["scaling-group", "config/redis/addr", "/sorna/local/sgroup/default/config/redis/addr"],
  ["node", "config/redis/addr", "/sorna/local/nodes/agents/i-worker1/config/redis/addr"],
  ["global", "/config/redis/addr", "/sorna/local/config/redis/addr"],
  ["global", "nodes/agents/i-worker1/", "/sorna/local/nodes/agents/i-worker1/"],
  ["global", "", "/sorna/local/"],
];
for (const [scope, key, expected] of PHYSICAL) {
  Deno.test(`[03 §2.1] physicalKey() of "${key}" in scope ${scope}`, () => {
    assert.equal(physicalKey(layout, scope, key), expected);
  });
}

Deno.test("[03 §2.1] physicalKey() quotes neither scaling group nor agent id", () => {
  const odd = { ...layout, scalingGroup: "a b:c", agentId: "i-é" };
  assert.equal(physicalKey(odd, "scaling-group", "x"), "/sorna/local/sgroup/a b:c/x");
  assert.equal(physicalKey(odd, "node", "x"), "/sorna/local/nodes/agents/i-é/x");
});

Deno.test("[03 §2.1] scopesOf() puts the node first and the global scope last", () => {
  assert.deepEqual(scopesOf("merged"), ["node", "scaling-group", "global"]);
  assert.deepEqual(scopesOf("global"), ["global"]);
});

const QUOTED: readonly (readonly [string, string])[] = [
  ["lablup/lua", "lablup%2Flua"],
  ["127.0.0.1:5000", "127.0.0.1%3A5000"],
  ["a b", "a%20b"],
  ["aZ09_.-", "aZ09_.-"],
  ["!*'()", "%21%2A%27%28%29"],
  ["한", "%ED%95%9C"],
];
for (const [text, quoted] of QUOTED) {
  Deno.test(`[03 §2.2] quoteComponent() of "${text}"`, () => {
    assert.equal(quoteComponent(text), quoted);
    assert.equal(unquoteComponent(quoted), text);
  });
}

Deno.test("quoteComponent() gives one component that reads back", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    const quoted = quoteComponent(text);
    assert.match(quoted, /^[A-Za-z0-9_.%-]*$/);
    assert.equal(unquoteComponent(quoted), text);
  }));
});

Deno.test("endOfRange() holds the prefix and all below it", () => {
  const prefix = "/sorna/local/config/redis";
  for (const below of [prefix, `${prefix}/`, `${prefix}/addr`, `${prefix}/\u{10ffff}`]) {
    assert.ok(below >= prefix && below < endOfRange(prefix), below);
  }
  assert.ok(`${prefix}2/x` >= endOfRange(prefix));
  assert.equal(endOfRange("/sorna/local/"), "/sorna/local0");
});

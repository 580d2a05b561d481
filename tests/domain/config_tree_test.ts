import assert from "node:assert/strict";
import fc from "fast-check";
import { buildTree, pathBelow, type Tree } from "../../domain/config/tree.ts";

Deno.test("[03 §2.3] buildTree() puts a value beside children under the empty name", () => {
  assert.deepEqual(buildTree([["x", "url"], ["x/username", "u"]]), { x: { "": "url", username: "u" } });
  assert.deepEqual(buildTree([["x/username", "u"], ["x", "url"]]), { x: { username: "u", "": "url" } });
  assert.deepEqual(buildTree([["", "own"], ["a", "1"]]), { "": "own", a: "1" });
});

Deno.test("buildTree() takes the last of equal paths", () => {
  assert.deepEqual(buildTree([["a/b", "1"], ["a/b", "2"]]), { a: { b: "2" } });
});

Deno.test("buildTree() keeps every value at its path", () => {
  const name = fc.constantFrom("a", "b", "__proto__", "constructor", "é");
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
  fc.assert(fc.property(fc.dictionary(path, fc.string()), (values) => {
    const tree = buildTree(Object.entries(values));
    for (const [key, value] of Object.entries(values)) assert.equal(valueAt(tree, key.split("/")), value);
    assert.equal(countLeaves(tree), Object.keys(values).length);
  }));
});

function valueAt(tree: Tree | string | undefined, path: readonly string[]): string | undefined {
  const [first, ...rest] = path;
  if (tree === undefined || typeof tree === "string") return path.length === 0 ? tree : undefined;
  const next = Object.hasOwn(tree, first ?? "") ? tree[first ?? ""] : undefined;
  return first === undefined ? valueAt(next, []) : valueAt(next, rest);
}

function countLeaves(tree: Tree | string): number {
  if (typeof tree === "string") return 1;
  return Object.values(tree).reduce<number>((sum, child) => sum + countLeaves(child), 0);
}

const PATHS: readonly (readonly [prefix: string, key: string, path: string | undefined])[] = [
  ["config/redis", "config/redis/addr", "addr"],
  ["config/redis", "config/redis/a/b", "a/b"],
  ["config/redis", "config/redis", ""],
  ["config/redis", "config/redis/", ""],
  ["config/redis", "config/redis2", undefined],
  ["config/redis", "config/redis2/x", undefined],
  ["config/redis", "config", undefined],
  ["", "config/redis", "config/redis"],
];
for (const [prefix, key, path] of PATHS) {
  Deno.test(`[03-D3] pathBelow() of "${key}" below "${prefix}"`, () => assert.equal(pathBelow(prefix, key), path));
}

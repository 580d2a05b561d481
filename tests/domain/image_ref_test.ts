import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import {
  canonicalName,
  isManagerReadableTag,
  lastPathPart,
  parseImageRef,
  shortName,
} from "../../domain/image/image_ref.ts";

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const path = fc.array(word, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const tag = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);

Deno.test("[04-6.1] parseImageRef() finds registry, name and tag", () => {
  const table: [string, string[], string][] = [
    ["python", [], "index.docker.io/lablup/python:latest"],
    ["lablup/python:3.6-ubuntu18.04", [], "index.docker.io/lablup/python:3.6-ubuntu18.04"],
    ["index.docker.io/lablup/lua:5", [], "index.docker.io/lablup/lua:5"],
    ["index.docker.io/lua:5", [], "index.docker.io/lablup/lua:5"],
    ["docker.io/lua", [], "index.docker.io/docker.io/lua:latest"],
    ["docker.io/lua", ["docker.io"], "docker.io/lablup/lua:latest"],
    ["a.docker.io/lua", ["a.docker.io"], "a.docker.io/lablup/lua:latest"],
    ["127.0.0.1:5000/lua:1", [], "127.0.0.1:5000/lua:1"],
    ["127.0.0.1/lua", [], "127.0.0.1/lua:latest"],
    ["[::1]:5000/a/b:2", [], "[::1]:5000/a/b:2"],
    ["reg.io/x:1", [], "index.docker.io/reg.io/x:1"],
    ["reg.io:5000/a/b:1-c", ["reg.io:5000"], "reg.io:5000/a/b:1-c"],
    ["localhost:5000/x:1", [], "index.docker.io/localhost:5000/x:1"],
    ["localhost:5000/x", [], "index.docker.io/localhost:5000/x:latest"],
    ["127.0.0.1:5000", [], "index.docker.io/lablup/127.0.0.1:5000"],
  ];
  for (const [text, known, canonical] of table) {
    assert.equal(canonicalName(parseImageRef(text, known)), canonical, text);
  }
});

Deno.test("parseImageRef() reads back what canonicalName() prints", () => {
  const registry = fc.constantFrom("index.docker.io", "10.0.0.1:5000", "[fe80::1]", "reg.io", "hub.docker.io");
  fc.assert(fc.property(registry, path, tag, (registry, path, tag) => {
    const ref = parseImageRef(`${registry}/${path}:${tag}`, ["reg.io", "hub.docker.io"]);
    assert.equal(ref.registry, registry);
    assert.equal(ref.tag, tag);
    assert.equal(lastPathPart(ref), path.split("/").at(-1));
    assert.equal(canonicalName(ref), `${ref.registry}/${shortName(ref)}`);
    assert.deepEqual(parseImageRef(canonicalName(ref), ["reg.io", "hub.docker.io"]), ref);
  }));
});

Deno.test("parseImageRef() throws InvalidField for what no engine takes", () => {
  const bad = [
    "",
    ":",
    "x:",
    ":1",
    "a b:1",
    "/x",
    "x/",
    "a//b",
    "x:-a",
    "x:a/b:",
    "<none>:<none>",
    "x:1\n",
    "x@sha256:ab",
  ];
  for (const text of [...bad, "x".repeat(600), `x:${"1".repeat(129)}`]) {
    assert.throws(() => parseImageRef(text), InvalidField, JSON.stringify(text));
  }
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      assert.match(canonicalName(parseImageRef(text)), /^[^\s/]+\/[^\s]+:[\w.-]+$/);
    } catch (error) {
      assert.ok(error instanceof InvalidField);
    }
  }));
});

Deno.test("[02-D13] isManagerReadableTag() is what the manager can parse", () => {
  const good = [
    "lablup/lua:5.3-alpine3.8",
    "registry.local:5000/lablup/x:1-y",
    "x:latest",
    "x",
    "x:1-py36-cuda9",
    "x:A-B",
  ];
  const bad = [
    "<none>:<none>",
    "x:",
    ":1",
    "x:a-",
    "x:_a",
    "x:1-1",
    "x:1-y-y2",
    "x:1-y-y",
    "x:a--b",
    "x:1-ubuntu18.04_x",
    "x:1-ubuntu18.04-",
    "x:é",
    "x:1\n",
  ];
  for (const repoTag of good) assert.equal(isManagerReadableTag(repoTag), true, repoTag);
  for (const repoTag of bad) assert.equal(isManagerReadableTag(repoTag), false, repoTag);
});

Deno.test("[02-D13] isManagerReadableTag() accepts distinct platform words with versions and refuses a repeated one", () => {
  const version = fc.constantFrom("", "1", "18.04", "3.8rc1", "36");
  const platforms = fc.uniqueArray(fc.tuple(word.map((text) => text.replaceAll(/\d/g, "x")), version), {
    minLength: 1,
    maxLength: 4,
    selector: ([text]) => text,
  });
  fc.assert(fc.property(fc.constantFrom("1", "3.6", "latest"), platforms, (main, platforms) => {
    const repoTag = `lablup/x:${[main, ...platforms.map((parts) => parts.join(""))].join("-")}`;
    assert.equal(isManagerReadableTag(repoTag), true);
    assert.equal(isManagerReadableTag(`${repoTag}-${platforms[0]?.[0]}7`), false);
  }));
});

/**
 * Who may import whom. An area's list is everything its files may import; what is not on it is a violation, and so is a
 * file that belongs to no area. `"pkg"` stands for any package, Node's included.
 */
import assert from "node:assert/strict";

const EVERYTHING = [""];
/** Message sockets: the adapter and the port it implements. */
const SOCKETS = ["adapters/zeromq/", "src/ports/message_sockets.ts"];

/** The first area whose prefix a path begins with. Files of `adapters/x/` and `src/x/` may also import their own folder. */
const AREAS: readonly { readonly prefix: string; readonly allowed: readonly string[]; readonly pure?: RegExp }[] = [
  {
    prefix: "domain/",
    allowed: ["domain/"],
    pure:
      /(?<![./\w$])(?:Deno\.|fetch\(|console\.|Date\.now|new Date\(|Math\.random|crypto\.|performance\.|process\.|globalThis|set(?:Timeout|Interval)|queueMicrotask|async\b|await\b|Promise\b)/,
  },
  { prefix: "src/ports/", allowed: ["domain/"], pure: /\bDeno\./ },
  { prefix: "src/app/", allowed: ["src/app/", "src/ports/", "domain/"], pure: /(?<![.\/\w$])(?:Deno\.|console\.)/ },
  { prefix: "config/", allowed: ["config/", "domain/", "pkg"] },
  {
    prefix: "adapters/rpc/",
    allowed: ["adapters/rpc/", "src/app/", "src/ports/", "domain/", "config/", "pkg"],
  },
  { prefix: "adapters/", allowed: ["OWN", "src/ports/", "domain/", "config/", "pkg"] },
  {
    prefix: "src/runner/",
    allowed: ["src/runner/", "adapters/runner/protocol.ts", ...SOCKETS, "domain/", "config/", "pkg"],
  },
  { prefix: "src/watcher/", allowed: ["src/watcher/", "domain/", "config/", "pkg"] },
  { prefix: "src/cli/", allowed: ["src/cli/", "adapters/rpc/", ...SOCKETS, "domain/", "config/", "pkg"] },
  { prefix: "src/compose.ts", allowed: EVERYTHING },
  { prefix: "src/main.ts", allowed: EVERYTHING },
  { prefix: "tests/", allowed: EVERYTHING },
  { prefix: "deploy/", allowed: EVERYTHING },
];

const IMPORT = /^(?:import|export)\s(?:[^"';=]*from\s)?"([^"]+)"|\bimport\("([^"]+)"/gm;
const COMMENT = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm;
const ROOT = new URL("../../", import.meta.url);
const SOURCE_FOLDERS = ["domain", "src", "adapters", "config", "deploy", "tests"];

/** Everything that is wrong with a file of that path and text. */
function violationsOf(file: string, text: string): string[] {
  const area = AREAS.find(({ prefix }) => file.startsWith(prefix));
  if (area === undefined) return [`${file} belongs to no area`];
  const code = text.replaceAll(COMMENT, "");
  const allowed = area.allowed.map((prefix) => prefix === "OWN" ? ownFolder(file) : prefix);
  const violations: string[] = [];
  for (const [, declared, dynamic] of code.matchAll(IMPORT)) {
    const target = resolve(file, declared ?? dynamic ?? "");
    if (!allowed.some((prefix) => target.startsWith(prefix))) violations.push(`${file} imports ${target}`);
  }
  const ambient = area.pure?.exec(code);
  if (ambient) violations.push(`${file} uses ${ambient[0]}`);
  return violations;
}

/** The path from the root that an import of `file` means; `"pkg"` for a package, `"outside"` for anything else. */
function resolve(file: string, specifier: string): string {
  if (!/^(?:\.\.?\/|\/|file:)/.test(specifier)) return "pkg";
  const target = new URL(specifier, new URL(file, "file:///root/")).href;
  return target.startsWith("file:///root/") ? target.slice("file:///root/".length) : "outside";
}

/** `adapters/docker/` of `adapters/docker/labels.ts`; a file directly in `adapters/` has no folder of its own. */
function ownFolder(file: string): string {
  return /^adapters\/[^/]+\//.exec(file)?.[0] ?? file;
}

function* sourceFiles(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(`${folder}/`, ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory && entry.name !== "node_modules") yield* sourceFiles(path);
    else if (entry.isFile && /\.m?[jt]sx?$/.test(entry.name)) yield path;
  }
}

Deno.test("every file imports only what its area may", () => {
  const files = SOURCE_FOLDERS.filter(exists).flatMap((folder) => [...sourceFiles(folder)]);
  assert.ok(files.length > 50);
  assert.deepEqual(files.flatMap((file) => violationsOf(file, Deno.readTextFileSync(new URL(file, ROOT)))), []);
});

function exists(folder: string): boolean {
  return [...Deno.readDirSync(ROOT)].some((entry) => entry.isDirectory && entry.name === folder);
}

/** One or more for each row of the table: the file, its text, and what must be reported. */
const PLANTED: readonly [file: string, text: string, violation: string][] = [
  ["domain/ids.ts", 'import type { Clock } from "../src/ports/clock.ts";', "imports src/ports/clock.ts"],
  ["domain/ids.ts", 'import assert from "node:assert";', "imports pkg"],
  ["domain/ids.ts", 'export * from "fast-check";', "imports pkg"],
  ["src/ports/clock.ts", 'import type { A } from "../app/agent_service.ts";', "imports src/app/agent_service.ts"],
  ["src/ports/clock.ts", 'import { z } from "zod";', "imports pkg"],
  ["src/ports/clock.ts", "export type C = Deno.Conn;", "uses Deno."],
  ["src/app/agent.ts", 'import { D } from "../../adapters/docker/reply.ts";', "imports adapters/docker/reply.ts"],
  ["src/app/agent.ts", 'import { S } from "../../config/schema.ts";', "imports config/schema.ts"],
  ["src/app/agent.ts", 'import { Redis } from "ioredis";', "imports pkg"],
  ["src/app/agent.ts", "const text = Deno.readTextFileSync(path);", "uses Deno."],
  ["config/load.ts", 'import type { Log } from "../src/ports/log.ts";', "imports src/ports/log.ts"],
  ["config/load.ts", 'import { L } from "../adapters/log/log.ts";', "imports adapters/log/log.ts"],
  ["adapters/docker/a.ts", 'import { t } from "../log/log.ts";', "imports adapters/log/log.ts"],
  ["adapters/docker/a.ts", 'import { A } from "../../src/app/agent.ts";', "imports src/app/agent.ts"],
  ["adapters/runner/a.ts", 'import { S } from "../zeromq/sockets.ts";', "imports adapters/zeromq/sockets.ts"],
  ["adapters/docker_extra/a.ts", 'import { t } from "../docker/a.ts";', "imports adapters/docker/a.ts"],
  ["adapters/rpc/server.ts", 'import { S } from "../zeromq/sockets.ts";', "imports adapters/zeromq/sockets.ts"],
  ["adapters/rpc/server.ts", 'import { c } from "../../src/compose.ts";', "imports src/compose.ts"],
  ["adapters/fake/clock.ts", 'import { c } from "../clock/clock.ts";', "imports adapters/clock/clock.ts"],
  ["adapters/fake/clock.ts", 'import { A } from "../../src/app/agent.ts";', "imports src/app/agent.ts"],
  ["src/runner/main.ts", 'import { A } from "../app/agent.ts";', "imports src/app/agent.ts"],
  [
    "src/runner/main.ts",
    'import { C } from "../../adapters/runner/channels.ts";',
    "imports adapters/runner/channels.ts",
  ],
  ["src/runner/main.ts", 'import { D } from "../../adapters/docker/reply.ts";', "imports adapters/docker/reply.ts"],
  ["src/runner/main.ts", 'const { C } = await import("../cli/demo.ts");', "imports src/cli/demo.ts"],
  ["src/runner/main.ts", 'import type { Log } from "../ports/log.ts";', "imports src/ports/log.ts"],
  [
    "src/watcher/main.ts",
    'import { S } from "../../adapters/zeromq/sockets.ts";',
    "imports adapters/zeromq/sockets.ts",
  ],
  ["src/cli/demo.ts", 'import type { A } from "../app/agent.ts";', "imports src/app/agent.ts"],
  ["src/cli/demo.ts", 'import { E } from "../../adapters/etcd/client.ts";', "imports adapters/etcd/client.ts"],
  ["src/cli/demo.ts", 'import { p } from "../../adapters/runner/protocol.ts";', "imports adapters/runner/protocol.ts"],
  ["src/extra.ts", "", "belongs to no area"],
  ["lib/extra.ts", "", "belongs to no area"],
];

for (const [file, text, violation] of PLANTED) {
  Deno.test(`the rule reports: ${file} ${violation} (${text.slice(0, 50)})`, () => {
    assert.deepEqual(violationsOf(file, text), [`${file} ${violation}`]);
  });
}

Deno.test("the rule reports imports over several lines, without names, re-exported, dynamic, and out of the repository", () => {
  const texts = [
    'import {\n  type A,\n  b,\n} from "../src/x.ts";',
    'import "../src/x.ts";',
    'export type { A } from "../src/x.ts";',
    'export * as x from "../src/x.ts";',
    '/** import */ const x = () => import("../src/x.ts");',
  ];
  for (const text of texts) {
    assert.ok(violationsOf("domain/a.ts", text).includes("domain/a.ts imports src/x.ts"), text);
  }
  assert.deepEqual(violationsOf("config/a.ts", 'import { x } from "../../elsewhere/x.ts";'), [
    "config/a.ts imports outside",
  ]);
});

Deno.test("the rule reports ambient state and waiting in the domain", () => {
  const uses = [
    "Deno.env",
    "fetch(url)",
    "console.log(1)",
    "Date.now()",
    "new Date()",
    "Math.random()",
    "crypto.randomUUID()",
    "performance.now()",
    "setTimeout(f, 1)",
    "setInterval(f, 1)",
    "process.env",
    "globalThis.x",
    "async () => 1",
    "Promise.resolve(1)",
  ];
  for (const use of uses) assert.equal(violationsOf("domain/a.ts", `export const x = ${use};`).length, 1, use);
});

Deno.test("the rule allows what the table allows, and looks at no comments", () => {
  const allowed: [string, string][] = [
    ["domain/kernel/a.ts", 'import { x } from "../ids.ts";'],
    ["domain/a.ts", '/* Date.now() */ // console.log\n// import "zod"\nexport const x = 1;'],
    ["domain/a.ts", 'const text = `from "zod"`;\nexport const url = "https://example.org/Deno";'],
    ["src/ports/a.ts", 'import type { x } from "../../domain/ids.ts";'],
    ["src/app/a.ts", 'import { x } from "./b.ts";\nimport type { Log } from "../ports/log.ts";'],
    ["config/a.ts", 'import { z } from "zod";\nimport { x } from "../domain/ids.ts";'],
    ["adapters/docker/sub/a.ts", 'import { x } from "../b.ts";\nimport { y } from "../../../src/ports/log.ts";'],
    ["adapters/rpc/a.ts", 'import type { x } from "../../src/app/agent_service.ts";'],
    ["adapters/fake/a.ts", 'import { FaultPlan } from "./fault_plan.ts";'],
    ["src/runner/a.ts", 'import { x } from "../../adapters/runner/protocol.ts";'],
    ["src/runner/a.ts", 'import { x } from "../../adapters/zeromq/sockets.ts";'],
    ["src/cli/a.ts", 'import { x } from "../../adapters/rpc/client.ts";\nimport { c } from "commander";'],
    ["src/cli/a.ts", 'import { x } from "../../adapters/zeromq/sockets.ts";'],
    ["src/compose.ts", 'import { x } from "../adapters/docker/a.ts";'],
    ["src/main.ts", 'import { x } from "./compose.ts";'],
    ["tests/e2e/a.ts", 'import { x } from "../../adapters/docker/a.ts";'],
  ];
  for (const [file, text] of allowed) assert.deepEqual(violationsOf(file, text), []);
});

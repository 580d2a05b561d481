import { ExtData } from "@msgpack/msgpack";
import fc from "fast-check";
import assert from "node:assert/strict";
import { parseCreationConfig } from "../../adapters/rpc/creation_config.ts";
import { InvalidField, NotSupported } from "../../domain/errors.ts";
import { parseKernelId } from "../../domain/ids.ts";
import { COUNT } from "../../domain/resource/slots.ts";

const KERNEL = parseKernelId("5f3f2a7c-8f4e-4d2a-9a44-1f0b6c1e2d3a");
const DIGEST = `sha256:${"ab".repeat(32)}`;
const FOLDER = "0123456789abcdef0123456789abcdef";
const MIB = 1024n ** 2n;

/** The example of 04 §2, as the codec decodes it, changed at dotted paths. */
function config(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const value: Record<string, unknown> = structuredClone({
    image: {
      registry: { name: "index.docker.io", url: "https://registry-1.docker.io", username: "lablup" },
      digest: DIGEST,
      repo_digest: null,
      canonical: "index.docker.io/lablup/python:3.6-ubuntu18.04",
      labels: { "ai.backend.kernelspec": "1", "ai.backend.runtime-type": "python" },
    },
    session_type: "interactive",
    resource_slots: { cpu: "2", mem: "1073741824", "cuda.device": "0" },
    idle_timeout: 600,
    mounts: [["data", "local", FOLDER, "wd"]],
    environ: { MYVAR: "1" },
    resource_opts: { shmem: 67108864 },
    startup_command: null,
    internal_data: null,
  });
  for (const [path, change] of Object.entries(changes)) set(value, path.split("/"), change);
  return value;
}

function set(target: Record<string, unknown>, [key = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length > 0) return set(target[key] as Record<string, unknown>, rest, value); // the example's own shape
  if (value === undefined) delete target[key];
  else target[key] = value;
}

function parse(changes: Record<string, unknown> = {}) {
  return parseCreationConfig(KERNEL, config(changes));
}

Deno.test("[04-2] parseCreationConfig() reads what the manager sends", () => {
  assert.deepEqual(parse(), {
    kernelId: KERNEL,
    image: {
      ref: { registry: "index.docker.io", name: "lablup/python", tag: "3.6-ubuntu18.04" },
      digest: DIGEST,
      labels: new Map([["ai.backend.kernelspec", "1"], ["ai.backend.runtime-type", "python"]]),
    },
    sessionType: "interactive",
    slots: new Map([["cpu", 2n * COUNT], ["mem", 1024n * MIB]]),
    shmemBytes: 64n * MIB,
    idleTimeoutS: 600,
    mounts: [{ name: "data", host: "local", id: FOLDER, permission: "rw" }],
    environ: new Map([["MYVAR", "1"]]),
    startupCommand: undefined,
    blockServicePorts: false,
    preventFolderMounts: false,
  });
});

Deno.test("[04-2] parseCreationConfig() takes absent, null and unknown fields as the contract has them", () => {
  const absent = ["idle_timeout", "mounts", "environ", "resource_opts", "startup_command", "internal_data"];
  for (const nothing of [undefined, null]) {
    const changes = Object.fromEntries(absent.map((field) => [field, nothing]));
    const request = parse({ ...changes, "image/repo_digest": nothing, "image/registry/url": nothing });
    assert.equal(request.idleTimeoutS, 0);
    assert.equal(request.shmemBytes, 0n);
    assert.deepEqual([request.mounts, [...request.environ]], [[], []]);
    assert.deepEqual([request.blockServicePorts, request.preventFolderMounts], [false, false]);
  }
  assert.deepEqual(parse({ preopen_ports: [1], "image/architecture": new ExtData(126, new Uint8Array(3)) }), parse());
});

Deno.test("[04-2.1] parseCreationConfig() reads internal_data and startup_command", () => {
  const internal = { prevent_vfolder_mounts: true, block_service_ports: true, docker_credentials: {}, new_key: 1 };
  const request = parse({ internal_data: internal, session_type: "batch", startup_command: "make\nmake install" });
  assert.deepEqual([request.blockServicePorts, request.preventFolderMounts], [true, true]);
  assert.deepEqual([request.sessionType, request.startupCommand], ["batch", "make\nmake install"]);
  assert.throws(() => parse({ internal_data: { domain_socket_proxies: ["/var/run/docker.sock"] } }), NotSupported);
});

Deno.test("parseCreationConfig() takes credentials only when both parts are there", () => {
  const credentials = (username: unknown, password: unknown) => {
    return parse({ "image/registry/username": username, "image/registry/password": password }).image.credentials;
  };
  assert.deepEqual(credentials("me", "secret"), { username: "me", password: "secret" });
  for (const [username, password] of [["me", ""], ["", "secret"], ["me", null], [undefined, "secret"]]) {
    assert.equal(credentials(username, password), undefined);
  }
});

Deno.test("[04-6.1] parseCreationConfig() reads the image name with the registry that it names", () => {
  const ref = parse({
    "image/registry/name": "hub.example.com:5000",
    "image/canonical": "hub.example.com:5000/team/r:4.1",
  });
  assert.deepEqual(ref.image.ref, { registry: "hub.example.com:5000", name: "team/r", tag: "4.1" });
});

Deno.test("[03-1] parseCreationConfig() flattens labels that etcd has nested", () => {
  const labels = { "": "x", a: "1", com: { "": "own", x: { y: "2" }, z: "3" }, __proto__: null, toString: "4" };
  const request = parse({ "image/labels": labels });
  const expected = [["a", "1"], ["com", "own"], ["com/x/y", "2"], ["com/z", "3"], ["toString", "4"]];
  assert.deepEqual([...request.image.labels].sort(), expected);
});

Deno.test("[04-7.4] parseCreationConfig() reads folders of old managers, and every permission", () => {
  const mounts = [["a", "h", FOLDER], ["b", "h", FOLDER, "ro"], ["c", "h", FOLDER, "rw"], ["d", "h", FOLDER, "wd"]];
  const permissions = parse({ mounts }).mounts.map((mount) => mount.permission);
  assert.deepEqual(permissions, ["rw", "ro", "rw", "rw"]);
});

Deno.test("[04-4.5] parseCreationConfig() reads shared memory as a number and as text", () => {
  const cases: readonly [unknown, bigint][] = [[0, 0n], ["64m", 64n * MIB], [67108864n, 64n * MIB], ["0", 0n]];
  for (const [shmem, bytes] of cases) assert.equal(parse({ resource_opts: { shmem } }).shmemBytes, bytes);
});

Deno.test("[04-D14] parseCreationConfig() keeps a variable of several lines whole", () => {
  const request = parse({ environ: { CERTIFICATE: "-----BEGIN\nabc", EMPTY: "", "with blank": "é" } });
  assert.deepEqual([...request.environ], [["CERTIFICATE", "-----BEGIN\nabc"], ["EMPTY", ""], ["with blank", "é"]]);
});

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));
let deep: Record<string, unknown> = { leaf: "1" };
for (let i = 0; i < 10_000; i++) deep = { d: deep };

/** Changed path, value, and the field that the error must name. */
const REFUSED: readonly (readonly [string, unknown, string])[] = [
  ["image", undefined, "config.image"],
  ["image", [], "config.image"],
  ["image", new Uint8Array(2), "config.image"],
  ["image", new ExtData(127, new Uint8Array(4)), "config.image"],
  ["image/registry", "index.docker.io", "config.image.registry"],
  ["image/registry/name", 5, "config.image.registry.name"],
  ["image/registry/url", 5, "config.image.registry.url"],
  ["image/registry/username", ["me"], "config.image.registry.username"],
  ["image/registry/password", 1, "config.image.registry.password"],
  ["image/digest", "sha256:00", "config.image.digest"],
  ["image/digest", undefined, "config.image.digest"],
  ["image/repo_digest", 1, "config.image.repo_digest"],
  ["image/canonical", "a b", "config.image.canonical"],
  ["image/canonical", null, "config.image.canonical"],
  ["image/labels", null, "config.image.labels"],
  ["image/labels", { a: 1 }, "config.image.labels.a"],
  ["image/labels", { a: { b: null } }, "config.image.labels.a.b"],
  ["image/labels", many(1_001), "config.image.labels"],
  ["image/labels", deep, `config.image.labels${".d".repeat(16)}`],
  ["session_type", undefined, "config.session_type"],
  ["session_type", "daemon", "config.session_type"],
  ["resource_slots", undefined, "config.resource_slots"],
  ["resource_slots", [["cpu", "1"]], "config.resource_slots"],
  ["resource_slots/cpu", undefined, "config.resource_slots.cpu"],
  ["resource_slots/cpu", "0", "config.resource_slots.cpu"],
  ["resource_slots/cpu", "-1", "config.resource_slots.cpu"],
  ["resource_slots/cpu", null, "config.resource_slots.cpu"],
  ["resource_slots/mem", "0", "config.resource_slots.mem"],
  ["resource_slots/mem", "1g", "config.resource_slots.mem"],
  ["resource_slots/mem", "1e400", "config.resource_slots.mem"],
  ["resource_slots/mem", Number.NaN, "config.resource_slots.mem"],
  ["idle_timeout", -1, "config.idle_timeout"],
  ["idle_timeout", 1.5, "config.idle_timeout"],
  ["idle_timeout", "600", "config.idle_timeout"],
  ["idle_timeout", 2n ** 63n, "config.idle_timeout"],
  ["mounts", {}, "config.mounts"],
  ["mounts", Array(257).fill(["a", "h", FOLDER, "ro"]), "config.mounts"],
  ["mounts", ["data"], "config.mounts.0"],
  ["mounts", [["data", "local"]], "config.mounts.0"],
  ["mounts", [["data", "local", "0123", "ro"]], "config.mounts.0.2"],
  ["mounts", [["data", "local", FOLDER.toUpperCase(), "ro"]], "config.mounts.0.2"],
  ["mounts", [["data", "local", FOLDER, "x"]], "config.mounts.0.3"],
  ["mounts", [["data", "local", FOLDER, null]], "config.mounts.0.3"],
  ["mounts", [["data", "..", FOLDER, "ro"]], "config.mounts.0.1"],
  ...["", ".", "..", "a/b", "/etc", "a:ro", "a,b", "a\nb", "a\0", "é".repeat(128), 1, null].map((name) => {
    return ["mounts", [["ok", "local", FOLDER], [name, "local", FOLDER, "ro"]], "config.mounts.1.0"] as const;
  }),
  ["environ", [], "config.environ"],
  ["environ", { A: 1 }, "config.environ.A"],
  ["environ", { A: "x\0" }, "config.environ.A"],
  ["environ", { "": "x" }, "config.environ"],
  ["environ", { "A=B": "x" }, "config.environ"],
  ["environ", { "A\nB": "x" }, "config.environ"],
  ["environ", { "A\0": "x" }, "config.environ"],
  ["environ", { A: "é".repeat(65_535) }, "config.environ"],
  ["environ", { A: "x".repeat(131_073) }, "config.environ.A"],
  ["environ", Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`A${i}`, "x".repeat(1e5)])), "config.environ"],
  ["environ", many(1_001), "config.environ"],
  ["resource_opts", "64m", "config.resource_opts"],
  ["resource_opts", { shmem: -1 }, "config.resource_opts.shmem"],
  ["resource_opts", { shmem: "1073741824" }, "config.resource_opts.shmem"],
  ["resource_opts", { shmem: 1.5 }, "config.resource_opts.shmem"],
  ["startup_command", 1, "config.startup_command"],
  ["startup_command", "a\0b", "config.startup_command"],
  ["startup_command", "x".repeat(131_073), "config.startup_command"],
  ["internal_data", [], "config.internal_data"],
  ["internal_data", { block_service_ports: "false" }, "config.internal_data.block_service_ports"],
  ["internal_data", { prevent_vfolder_mounts: 1 }, "config.internal_data.prevent_vfolder_mounts"],
  ["internal_data", { domain_socket_proxies: "x" }, "config.internal_data.domain_socket_proxies"],
];

Deno.test("[04-D14, 04-D43, 04-D44] parseCreationConfig() refuses a bad value and names its field", () => {
  for (const [path, value, field] of REFUSED) {
    const label = `${path} = ${String(value).slice(0, 40)}`;
    assert.throws(() => parse({ [path]: value }), (error) => {
      assert(error instanceof InvalidField, label);
      assert.equal(error.field, field, label);
      return true;
    }, label);
  }
  for (const value of [null, undefined, 1, "config", [], new Uint8Array(1)]) {
    assert.throws(() => parseCreationConfig(KERNEL, value), { field: "config" });
  }
});

/** Everything that decoding can give. */
const decoded = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom<unknown>(
      null,
      true,
      false,
      "",
      "0",
      "rw",
      "\0",
      new Uint8Array(2),
      new ExtData(127, new Uint8Array(1)),
    ),
    fc.string({ maxLength: 20, unit: "binary" }),
    fc.double(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom("__proto__", "constructor")), tie("value")),
  ),
})).value;

const PATHS = [
  ...["image", "session_type", "resource_slots", "idle_timeout", "mounts", "environ", "resource_opts", "internal_data"],
  ...["image/registry", "image/registry/name", "image/digest", "image/canonical", "image/labels", "startup_command"],
  ...["resource_slots/cpu", "resource_slots/mem", "resource_slots/x", "resource_opts/shmem", "environ/A", "mounts/0"],
  ...["mounts/0/0", "mounts/0/1", "mounts/0/2", "mounts/0/3", "image/labels/a", "image/registry/username", "__proto__"],
];

Deno.test("parseCreationConfig() gives a request or InvalidField for whatever arrives", () => {
  const changes = fc.uniqueArray(fc.tuple(fc.constantFrom(...PATHS), decoded), {
    selector: ([path]) => path,
    minLength: 1,
    maxLength: 4,
  });
  const check = (value: unknown) => {
    try {
      parseCreationConfig(KERNEL, value);
    } catch (error) {
      assert(error instanceof InvalidField || error instanceof NotSupported, String(error));
      assert(error.message.length < 2_000);
    }
  };
  fc.assert(fc.property(decoded, check), { numRuns: 500 });
  fc.assert(
    fc.property(changes, (list) => {
      // Deep paths first: their parents are still the example's own.
      const ordered = list.toSorted(([a], [b]) => b.split("/").length - a.split("/").length);
      check(config(Object.fromEntries(ordered)));
    }),
    { numRuns: 2_000 },
  );
  assert.equal(Object.hasOwn(Object.prototype, "polluted"), false);
  assert.deepEqual(Object.keys(Object.prototype), []);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { accountIds, kernelUser, startChecks } from "../../config/checks.ts";
import { ConfigurationError } from "../../config/errors.ts";
import type { Surroundings } from "../../config/field.ts";
import { staleFiles } from "../../config/generate.ts";
import { candidatePaths, fileNotFound, loadConfig, standaloneDefaults } from "../../config/load.ts";
import { withoutSecrets } from "../../config/redact.ts";
import { renderSample } from "../../config/reference.ts";

const ROOT: Surroundings = { cwd: "/work dir", home: "/root", uid: 0, environment: {} };
const MINIMAL = `
[etcd]
namespace = "local"
[agent]
mode = "docker"
[container]
scratch-type = "hostdir"
[logging.pkg-ns]
`;

/** Written by the testbed's start script for a real agent. */
const TESTBED = `
[etcd]
namespace = "testbed"
addr = { host = "127.0.0.1", port = 8120 }
user = ""
password = ""
[agent]
mode = "docker"
rpc-listen-addr = { host = "127.0.0.1", port = 6001 }
id = "i-testbed"
scaling-group = "default"
event-loop = "asyncio"
[container]
kernel-uid = 1000
kernel-gid = 1000
kernel-host = "127.0.0.1"
port-range = [30000, 31000]
stats-type = "docker"
sandbox-type = "docker"
scratch-type = "hostdir"
scratch-root = "/tmp/scratch"
scratch-size = "1G"
[watcher]
service-addr = { host = "127.0.0.1", port = 6009 }
target-service = "backendai-agent.service"
[logging]
level = "INFO"
drivers = ["console"]
[logging.pkg-ns]
"" = "WARNING"
"ai.backend" = "INFO"
[logging.console]
colored = false
format = "verbose"
[resource]
reserved-cpu = 0
reserved-mem = "1G"
reserved-disk = "1G"
[debug]
enabled = false
`;

function load(
  text: string,
  { environment = {}, debug = false, standalone = false, surroundings = ROOT }: {
    environment?: Record<string, string>;
    debug?: boolean;
    standalone?: boolean;
    surroundings?: Surroundings;
  } = {},
) {
  const file = { path: "/etc/agent.toml", text };
  return loadConfig({ file, flags: { debug, standalone }, surroundings: { ...surroundings, environment } });
}

/** The minimal file with one more line in a section. */
function withLine(section: string, line: string): string {
  return MINIMAL.includes(`[${section}]\n`)
    ? MINIMAL.replace(`[${section}]\n`, `[${section}]\n${line}\n`)
    : `${MINIMAL}\n[${section}]\n${line}\n`;
}

function problemsOf(act: () => unknown): { key: string; reason: string; origin: string | undefined }[] {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigurationError) return [...error.problems];
    throw error;
  }
  return assert.fail("nothing was wrong with it");
}

Deno.test("loadConfig() fills every default of a minimal file", () => {
  const { config, warnings } = load(MINIMAL);
  assert.deepEqual(warnings, []);
  assert.deepEqual(config.agent.rpcListenAddr, { host: "", port: 6001 });
  assert.deepEqual(config.container.portRange, { first: 30000, last: 31000 });
  assert.equal(config.container.scratchRoot, "/work dir/scratches");
  assert.equal(config.resource.reservedMem, 1n << 30n);
  assert.equal(config.event.transport, "redis");
  assert.equal(config.agent.stateDir, "/var/lib/backendai-agent");
  assert.equal(config.watcher.serviceAddr, null);
  assert.equal(config.logging.file, null);
});

Deno.test("loadConfig() takes the testbed's file without a warning", () => {
  const { config, warnings } = load(TESTBED, { environment: { BACKEND_CPU_OVERCOMMIT_FACTOR: "8" } });
  assert.deepEqual(warnings, []);
  assert.equal(config.resource.cpuOvercommitFactor, 8);
  assert.equal(config.watcher.serviceAddr?.port, 6009);
  assert.equal(config.logging.pkgNs.get("ai.backend"), "INFO");
  assert.equal(config.agent.id, "i-testbed");
});

Deno.test("loadConfig() takes its own sample file without a warning", () => {
  assert.deepEqual(load(renderSample()).warnings, []);
});

Deno.test("loadConfig() names what is required, with line and expectation of what is wrong", () => {
  const problems = problemsOf(() =>
    load('[agent]\nrpc-listen-addr = { host = "h", port = 99999 }\n[container]\nport-range = [5, 4]\n')
  );
  assert.deepEqual(problems.map(({ key }) => key), [
    "etcd.namespace",
    "agent.mode",
    "agent.rpc-listen-addr.port",
    "container.port-range",
    "container.scratch-type",
    "logging.pkg-ns",
  ]);
  assert.equal(problems[0]?.reason, "is required");
  assert.equal(problems[2]?.reason, "expected a port number from 1 to 65535, got 99999");
  assert.equal(problems[2]?.origin, "/etc/agent.toml:2");
});

const REFUSED: [section: string, line: string, key: string][] = [
  ["etcd", 'addr = "localhost"', "etcd.addr"],
  ["etcd", 'addr = ":2379"', "etcd.addr.host"],
  ["etcd", 'addr = "a b:2379"', "etcd.addr.host"],
  ["agent", 'rpc-listen-addr = ["x", 0]', "agent.rpc-listen-addr.port"],
  ["agent", 'id = "a/b"', "agent.id"],
  ["container", "kernel-uid = -2", "container.kernel-uid"],
  ["container", 'kernel-uid = "nobody-of-that-name"', "container.kernel-uid"],
  ["container", 'port-range = "1-70000"', "container.port-range"],
  ["container", 'stats-type = "none"', "container.stats-type"],
  ["container", 'jail-args = [""]', "container.jail-args"],
  ["container", 'scratch-root = ""', "container.scratch-root"],
  ["resource", 'reserved-mem = ""', "resource.reserved-mem"], // 05-D8
  ["resource", "reserved-mem = 1.5", "resource.reserved-mem"], // 05-D8
  ["resource", "reserved-cpu = -1", "resource.reserved-cpu"],
  ["resource", "cpu-overcommit-factor = 65", "resource.cpu-overcommit-factor"],
  ["debug", 'enabled = "yes"', "debug.enabled"],
  ["debug.coredump", "backup-count = 0", "debug.coredump.backup-count"],
  ["event", 'transport = "kafka"', "event.transport"],
  ["logging.pkg-ns", '"x.y" = "LOUD"', 'logging.pkg-ns."x.y"'],
  ["logging.logstash", 'protocol = "tcp"', "logging.logstash.endpoint"],
];
for (const [section, line, key] of REFUSED) {
  Deno.test(`loadConfig() refuses [${section}] ${line}`, () => {
    assert.deepEqual(problemsOf(() => load(withLine(section, line))).map((problem) => problem.key), [key]);
  });
}

Deno.test("loadConfig() never shows a password", () => {
  const [problem] = problemsOf(() => load(withLine("etcd", "password = 12345")));
  assert.equal(problem?.reason, "expected text, got something else");
  assert.throws(
    () => load('[etcd]\npassword = "s3cret'),
    (error) => error instanceof ConfigurationError && !error.message.includes("s3cret"),
  );
});

Deno.test("withoutSecrets() shows every key and no password", () => {
  const { config } = load(TESTBED.replace('password = ""', 'password = "s3cret"'));
  const shown = withoutSecrets(config);
  assert.deepEqual(Object.keys(shown), Object.keys(config));
  const text = JSON.stringify(shown, (_, value) => typeof value === "bigint" ? String(value) : value);
  assert.ok(
    text.includes('"password":"(secret)"') && text.includes('"scaling-group":"default"') && !text.includes("s3cret"),
  );
});

Deno.test("loadConfig() accepts every form of an address", () => {
  const forms = ['"10.0.0.1:6001"', '["10.0.0.1", "6001"]', '{ host = "10.0.0.1", port = 6001.0 }'];
  for (const form of forms) {
    const { config } = load(withLine("agent", `rpc-listen-addr = ${form}`));
    assert.deepEqual(config.agent.rpcListenAddr, { host: "10.0.0.1", port: 6001 });
  }
  const { config } = load(withLine("etcd", 'addr = "[::1]:2379"'));
  assert.deepEqual(config.etcd.addr, { host: "::1", port: 2379 });
});

Deno.test("loadConfig() knows accounts by name, and empty text as the agent's choice", () => {
  const surroundings = { ...ROOT, userIds: accountIds("root:x:0:0:root:/root:/bin/sh\nwork:x:1001:1001::/:\nbad\n") };
  assert.equal(load(withLine("container", 'kernel-uid = "work"'), { surroundings }).config.container.kernelUid, 1001);
  assert.equal(load(withLine("container", 'kernel-uid = "1002"')).config.container.kernelUid, 1002);
  assert.equal(load(withLine("container", 'kernel-uid = ""')).config.container.kernelUid, -1);
});

Deno.test("loadConfig() lets a set environment variable win, also an empty one", () => {
  const environment = {
    BACKEND_NAMESPACE: "other",
    BACKEND_ETCD_ADDR: "etcd:8120",
    BACKEND_ETCD_USER: "u",
    BACKEND_PID_FILE: "",
    BACKEND_CONTAINER_PORT_RANGE: "100-200",
    BACKEND_KERNEL_HOST_OVERRIDE: "10.1.1.1",
    BACKEND_SCRATCH_ROOT: "/scratch",
  };
  const { config } = load(withLine("agent", 'pid-file = "/run/agent.pid"'), { environment });
  assert.equal(config.etcd.namespace, "other");
  assert.deepEqual(config.etcd.addr, { host: "etcd", port: 8120 });
  assert.equal(config.etcd.user, "u");
  assert.equal(config.agent.pidFile, "");
  assert.deepEqual(config.container.portRange, { first: 100, last: 200 });
  assert.equal(config.container.kernelHost, "10.1.1.1");
  assert.equal(config.container.scratchRoot, "/scratch");
});

Deno.test("[05-D2] loadConfig() overrides host and port of an address in any form", () => {
  for (const line of ['rpc-listen-addr = "1.2.3.4:6001"', 'rpc-listen-addr = ["1.2.3.4", 6001]', "# absent"]) {
    const environment = { BACKEND_AGENT_HOST_OVERRIDE: "10.0.0.9", BACKEND_AGENT_PORT: "6100" };
    const { config } = load(withLine("agent", line), { environment });
    assert.deepEqual(config.agent.rpcListenAddr, { host: "10.0.0.9", port: 6100 });
  }
  const [problem] = problemsOf(() => load(MINIMAL, { environment: { BACKEND_AGENT_PORT: "many" } }));
  assert.equal(problem?.origin, "environment variable BACKEND_AGENT_PORT");
});

Deno.test("[05-D6] loadConfig() takes the legacy log variables, the size in MiB", () => {
  const environment = { BACKEND_LOG_FILE: "/var/log/a.log", BACKEND_LOG_FILE_COUNT: "7", BACKEND_LOG_FILE_SIZE: "2.5" };
  const { file } = load(MINIMAL, { environment }).config.logging;
  assert.deepEqual(
    [file?.path, file?.filename, file?.backupCount, file?.rotationSize],
    ["/var/log", "a.log", 7, 2621440n],
  );
});

Deno.test("loadConfig() makes everything talk with --debug", () => {
  const { config } = load(MINIMAL, { debug: true });
  assert.equal(config.debug.enabled, true);
  assert.equal(config.logging.level, "DEBUG");
  assert.equal(config.logging.pkgNs.get("ai.backend"), "DEBUG");
});

Deno.test("loadConfig() warns of an unknown key and names the nearest known one", () => {
  const { warnings } = load(withLine("container", 'scratch_rot = "/x"'));
  assert.deepEqual(warnings, [
    '/etc/agent.toml:7: unknown key "container.scratch_rot" is ignored; did you mean "container.scratch-root"?',
  ]);
  assert.deepEqual(load(`${MINIMAL}\n[zebra]\nx = 1\n`).warnings, [
    '/etc/agent.toml:10: unknown key "zebra" is ignored',
  ]);
});

Deno.test("[05-D4] loadConfig() takes a deprecated key with a warning", () => {
  const { config, warnings } = load(withLine("watcher", 'ssl-privkey = "/k.pem"'));
  assert.equal(config.watcher.sslKey, "/k.pem");
  assert.deepEqual(warnings, [
    '/etc/agent.toml:11: key "watcher.ssl-privkey" is deprecated; use "watcher.ssl-key"',
  ]);
});

Deno.test("loadConfig() does not fail for what is wrong in the watcher's section", () => {
  const { config, warnings } = load(withLine("watcher", "service-addr = 5"));
  assert.equal(config.watcher.serviceAddr, null);
  assert.equal(warnings.length, 1);
});

Deno.test("loadConfig() refuses an unspecified or link-local RPC host", () => {
  for (const host of ["0.0.0.0", "[::]", "169.254.3.4", "fe80::1", "[0:0:0:0:0:0:0:0]"]) {
    assert.throws(
      () => load(MINIMAL, { environment: { BACKEND_AGENT_HOST_OVERRIDE: host } }),
      { message: "Cannot use link-local or unspecified IP address as the RPC listening host." },
      host,
    );
  }
  for (const host of ["", "0.example.org", "10.0.0.1", "::1", "fe.example.org"]) {
    load(MINIMAL, { environment: { BACKEND_AGENT_HOST_OVERRIDE: host } });
  }
});

Deno.test("loadConfig() refuses a driver without its section", () => {
  assert.throws(
    () => load(`${MINIMAL}\n[logging]\ndrivers = ["file"]\n`.replace("[logging.pkg-ns]\n", "")),
    ConfigurationError,
  );
  assert.throws(() => load(withLine("logging", 'drivers = ["console", "logstash"]')), {
    message: "logstash driver is activated but no config given.",
  });
});

Deno.test("loadConfig() refuses text that is no TOML, with its line", () => {
  assert.throws(() => load("[etcd]\nnamespace = \n"), /^ConfigurationError: \/etc\/agent\.toml:2:\d+: not valid TOML/);
});

Deno.test("loadConfig() never throws anything but ConfigurationError", () => {
  const scalar = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant([1, "x"]), fc.constant({}));
  const sections = ["etcd", "agent", "container", "resource", "debug", "watcher", "logging", "event"];
  const keys = ["addr", "rpc-listen-addr", "port-range", "reserved-mem", "level", "pkg-ns", "id", "kernel-uid", "file"];
  const tree = fc.dictionary(
    fc.constantFrom(...sections),
    fc.oneof(scalar, fc.dictionary(fc.constantFrom(...keys), scalar)),
  );
  fc.assert(fc.property(tree, (value) => {
    try {
      load(toml(value), { standalone: true });
    } catch (error) {
      assert.ok(error instanceof ConfigurationError, String(error));
    }
  }));
});

Deno.test("standaloneDefaults() is complete and stays on this machine", () => {
  const config = standaloneDefaults({ ...ROOT, uid: 1000, home: "/home/u" });
  assert.deepEqual(config.agent.rpcListenAddr, { host: "127.0.0.1", port: 6001 });
  assert.equal(config.container.kernelHost, "127.0.0.1");
  assert.equal(config.agent.stateDir, "/home/u/.local/state/backendai-agent");
  assert.equal(config.container.scratchRoot, "/home/u/.local/state/backendai-agent/scratches");
  assert.equal(config.resource.reservedCpu, 0);
});

Deno.test("loadConfig() lets a standalone agent use a file too", () => {
  const { config } = load('[agent]\nstate-dir = "/s"\nrpc-listen-addr = "127.0.0.1:7000"\n', { standalone: true });
  assert.equal(config.container.scratchRoot, "/s/scratches");
  assert.equal(config.agent.rpcListenAddr.port, 7000);
});

Deno.test("candidatePaths() follows the order of 05 §1", () => {
  assert.deepEqual(candidatePaths(undefined, ROOT), [
    "/work dir/agent.toml",
    "/root/.config/backend.ai/agent.toml",
    "/etc/backend.ai/agent.toml",
  ]);
  const environment = { BACKEND_CONFIG_FILE: "../env.toml" };
  assert.deepEqual(candidatePaths(undefined, { ...ROOT, environment }), ["/env.toml"]);
  assert.deepEqual(candidatePaths("flag.toml", { ...ROOT, environment }), ["/work dir/flag.toml"]);
});

Deno.test("[05-D1] fileNotFound() names the searched paths", () => {
  assert.equal(String(fileNotFound(["/a", "/b"])), "ConfigurationError: Could not read config from: /a, /b");
});

Deno.test("startChecks() compares the configuration with the machine", () => {
  const cgroup = load(withLine("container", 'stats-type = "cgroup"')).config;
  const facts = { uid: 0, os: "linux", corePattern: "core" };
  startChecks(cgroup, facts);
  assert.throws(() => startChecks(cgroup, { ...facts, uid: 1000 }), /unless the agent runs as root/);
  const coredump = load(withLine("debug.coredump", "enabled = true")).config;
  assert.throws(() => startChecks(coredump, facts), /must be an absolute path/);
  assert.throws(() => startChecks(coredump, { ...facts, corePattern: "|/usr/lib/x" }), /must be an absolute path/);
  assert.throws(() => startChecks(coredump, { ...facts, os: "darwin" }), /only supported in Linux/);
  startChecks(coredump, { ...facts, corePattern: "/cores/core.%p" });
});

Deno.test("kernelUser() gives root only for an explicit 0", () => {
  const root = { uid: 0, gid: 0 };
  const user = { uid: 1234, gid: 5678 };
  assert.deepEqual(kernelUser(load(MINIMAL).config, root), { uid: 1000, gid: 1000 });
  assert.deepEqual(kernelUser(load(MINIMAL).config, user), user);
  const zero = load(withLine("container", "kernel-uid = 0\nkernel-gid = 0")).config;
  assert.deepEqual(kernelUser(zero, user), root);
});

Deno.test("REFERENCE.md and agent.sample.toml are what the schema says", () => {
  assert.deepEqual(staleFiles(), []);
});

function toml(tree: Record<string, unknown>): string {
  const lines = Object.entries(tree).flatMap(([name, value]) => [`${name} = ${tomlValue(value)}`]);
  return lines.join("\n");
}

function tomlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(", ")}]`;
  if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) > 1e15 ? "1" : tomlNumber(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{ ${Object.entries(value).map(([key, it]) => `${JSON.stringify(key)} = ${tomlValue(it)}`).join(", ")} }`;
}

function tomlNumber(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Object.is(value, -0) ? "-0.0" : /^-?\d+(\.\d+)?$/.test(String(value)) ? String(value) : "0.5";
}

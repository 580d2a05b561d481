import assert from "node:assert/strict";
import { MemoryLog } from "../../adapters/fake/log.ts";
import { SystemClock } from "../../adapters/clock/system_clock.ts";
import { RpcClient, RpcError } from "../../adapters/rpc/client.ts";
import { decodeReply, encodeRequest } from "../../adapters/rpc/codec.ts";
import { methodTable } from "../../adapters/rpc/methods.ts";
import { RpcServer } from "../../adapters/rpc/server.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { KernelNotFound } from "../../domain/errors.ts";
import { parseKernelId, parseRunId } from "../../domain/ids.ts";
import type { KernelMetrics } from "../../domain/stats/metrics.ts";
import { FakeAgentService } from "./fake_agent_service.ts";
import { Inbox } from "./message_inbox.ts";

const KERNEL = parseKernelId("5f3f2a7c-8f4e-4d2a-9a44-1f0b6c1e2d3a");
const ME = { pid: 1, nonce: 2 };
const CONFIG = {
  image: {
    registry: { name: "index.docker.io" },
    digest: `sha256:${"ab".repeat(32)}`,
    canonical: "index.docker.io/lablup/python:3.6-ubuntu18.04",
    labels: {},
  },
  session_type: "interactive",
  resource_slots: { cpu: "2", mem: "1073741824" },
  idle_timeout: 600,
  mounts: [],
  environ: {},
  resource_opts: { shmem: 67108864 },
};

/** A server with a fake agent behind it, and a client. */
class Line implements AsyncDisposable {
  readonly agent = new FakeAgentService();
  readonly log = new MemoryLog();
  readonly sockets = new ZeroMqSockets({ log: this.log });
  readonly server: RpcServer;
  endpoint = "";

  private constructor() {
    this.agent.knownKernel = KERNEL;
    const endpoint = "tcp://127.0.0.1:0";
    const methods = methodTable(this.agent);
    const clock = new SystemClock();
    this.server = new RpcServer({ sockets: this.sockets, endpoint, methods, sender: ME, clock, log: this.log });
  }

  static async open(): Promise<Line> {
    const line = new Line();
    line.endpoint = await line.server.bind();
    line.server.serve();
    return line;
  }

  client(): RpcClient {
    return new RpcClient({ sockets: this.sockets, endpoint: this.endpoint });
  }

  /** A socket that speaks frames, for what no client would send. */
  raw() {
    const socket = this.sockets.open("dealer", { lingerMs: 0 });
    const inbox = new Inbox(socket);
    socket.connect(this.endpoint);
    return { socket, inbox };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    await this.sockets[Symbol.asyncDispose]();
  }
}

async function failure(call: Promise<unknown>): Promise<readonly [string, readonly unknown[]]> {
  const error = await call.then(() => undefined, (reason) => reason);
  assert.ok(error instanceof RpcError, `${error}`);
  return [error.type, error.args];
}

Deno.test("[01-11] every method calls the agent and gives its answer", async () => {
  await using line = await Line.open();
  const { agent } = line;
  using client = line.client();
  assert.equal(await client.call("ping", ["héllo"]), "héllo");
  assert.deepEqual(agent.calls, []);

  assert.equal(await client.call("ping_kernel", [KERNEL.replaceAll("-", "")]), null);
  assert.equal(await client.call("refresh_idle", [], { kwargs: { kernel_id: KERNEL } }), null);
  assert.equal(await client.call("interrupt_kernel", [KERNEL]), null);
  assert.deepEqual(await client.call("get_logs", [KERNEL]), { logs: "a log\n" });
  assert.equal(await client.call("destroy_kernel", [KERNEL]), null);
  assert.equal(await client.call("destroy_kernel", [KERNEL, ""]), null);
  assert.equal(await client.call("destroy_kernel", [KERNEL, "idle-timeout"]), null);
  assert.equal(await client.call("reset_agent"), null);
  assert.equal(await client.call("clean_all_kernels", ["manager-freeze-force-kill"]), null);
  assert.equal(await client.call("shutdown_agent", [true]), null);
  assert.deepEqual(agent.calls.splice(0), [
    ["touch", KERNEL],
    ["touch", KERNEL],
    ["interruptKernel", KERNEL],
    ["getLogs", KERNEL],
    ["destroyKernel", KERNEL, "user-requested"],
    ["destroyKernel", KERNEL, "user-requested"],
    ["destroyKernel", KERNEL, "idle-timeout"],
    ["destroyAll", "agent-reset"],
    ["destroyAll", "manager-freeze-force-kill"],
  ]);
});

Deno.test("[01-11.3, 01-D13] create_kernel answers everything that the manager stores", async () => {
  await using line = await Line.open();
  using client = line.client();
  const created = await client.call("create_kernel", [KERNEL, CONFIG]);
  assert.deepEqual(created, {
    id: KERNEL,
    kernel_host: "10.0.0.5",
    repl_in_port: 30000,
    repl_out_port: 30001,
    stdin_port: 0,
    stdout_port: 0,
    service_ports: [{ name: "sshd", protocol: "tcp", container_ports: [2200], host_ports: [30002] }],
    container_id: "c0".repeat(32),
    resource_spec: {
      container_id: "c0".repeat(32),
      slots: { cpu: "2", mem: "1073741824" },
      allocations: { cpu: { cpu: { "0": "1", "1": "1" } }, mem: { mem: { root: "1g" } } },
      scratch_disk_size: 0,
      mounts: [],
      idle_timeout: 600,
    },
    attached_devices: {
      cpu: [{ device_id: "0", model_name: "" }, { device_id: "1", model_name: "" }],
      mem: [{ device_id: "root", model_name: "" }],
    },
  });
  assert.deepEqual(await failure(client.call("create_kernel", [KERNEL, { ...CONFIG, session_type: "x" }])), [
    "builtins.ValueError",
    ['Cannot use "config.session_type": expected "interactive" or "batch", got "x"'],
  ]);
});

Deno.test("[01-11.9] execute reads its arguments and answers in the form of the API version", async () => {
  await using line = await Line.open();
  const { agent } = line;
  using client = line.client();
  assert.deepEqual(await client.call("execute", [KERNEL, 3, "run-1", "query", "print(1)", {}, 2.5]), {
    runId: "run-1",
    status: "finished",
    exitCode: 0,
    options: null,
    console: [["stdout", "1\n"]],
    files: [],
  });
  agent.behaviour = {
    execute: () =>
      Promise.resolve({
        runId: parseRunId("r"),
        status: "waiting-input",
        exitCode: null,
        options: { is_password: true },
        output: { stdout: "a", stderr: "b", media: [["image/svg", "\ud800"]], html: ["c"] },
      }),
  };
  const options = { clean: null, build: "make", exec: "", other: 1 };
  assert.deepEqual(await client.call("execute", [KERNEL, 1, null, "batch", "", options, null]), {
    runId: "r",
    status: "waiting-input",
    exitCode: null,
    options: { is_password: true },
    stdout: "a",
    stderr: "b",
    media: [["image/svg", "\ufffd"]],
    html: ["c"],
    files: [],
  });
  const base = { kernelId: KERNEL, options: {} };
  assert.deepEqual(agent.calls, [
    ["execute", { ...base, runId: "run-1", apiVersion: 3, mode: "query", code: "print(1)", flushTimeoutMs: 2_500 }],
    ["execute", {
      ...base,
      runId: null,
      apiVersion: 1,
      mode: "batch",
      code: "",
      options: { build: "make" },
      flushTimeoutMs: null,
    }],
  ]);
  const good: readonly unknown[] = [KERNEL, 3, "r", "query", "code", {}, 2];
  const bad: readonly (readonly [number, unknown])[] = [
    ...[null, "x"].map((value) => [0, value] as const),
    ...["3", 0, 2.5, null].map((value) => [1, value] as const),
    ...["", 5, "x".repeat(129)].map((value) => [2, value] as const),
    ...["run", null].map((value) => [3, value] as const),
    [4, 5],
    ...["2", -1, Number.NaN].map((value) => [6, value] as const),
  ];
  for (const [index, value] of bad) {
    const [name] = await failure(client.call("execute", good.with(index, value)));
    assert.equal(name, "builtins.ValueError", `${index} = ${value}`);
  }
  for (const opts of [5, [], { clean: 1 }]) {
    const [name] = await failure(client.call("execute", good.with(3, "batch").with(5, opts)));
    assert.equal(name, "builtins.ValueError");
  }
});

Deno.test("[01-11.4] destroy_kernel answers the last statistics with their version", async () => {
  await using line = await Line.open();
  using client = line.client();
  const metric = { current: "5", capacity: null, pct: null, unit_hint: "msec" };
  line.agent.behaviour = { destroyKernel: () => Promise.resolve<KernelMetrics>({ cpu_used: metric }) };
  assert.deepEqual(await client.call("destroy_kernel", [KERNEL, "x"]), { cpu_used: metric, version: 2 });
});

Deno.test("[01-4] an unknown method is answered with its name, whatever it looks like", async () => {
  await using line = await Line.open();
  using client = line.client();
  for (
    const name of ["", "nope", "a.b.c", "ping.x", ".", "constructor", "__proto__", "toString", "é", "createKernel"]
  ) {
    assert.deepEqual(await failure(client.call(name, [1])), ["aiozmq.rpc.base.NotFoundError", [name]]);
  }
  assert.deepEqual(line.agent.calls, []);
});

Deno.test("a method that comes later says so with its name, however it is called", async () => {
  await using line = await Line.open();
  using client = line.client();
  for (const name of ["start_service", "restart_kernel", "get_completions"]) {
    const [type, [text]] = await failure(client.call(name, [KERNEL, "x", {}]));
    assert.equal(type, "builtins.NotImplementedError");
    assert.match(`${text}`, new RegExp(`"${name}"`));
  }
});

Deno.test("[01-D1, 01-5] failures of the agent and bad ids are answered", async () => {
  await using line = await Line.open();
  using client = line.client();
  const other = "00000000-0000-0000-0000-000000000001";
  const unknown = ["builtins.KeyError", [`Cannot find kernel "${other}": it is not running on this agent`]] as const;
  assert.deepEqual(await failure(client.call("get_logs", [other])), unknown);
  assert.deepEqual(await failure(client.call("interrupt_kernel", [other])), unknown);
  for (const method of ["get_logs", "interrupt_kernel", "ping_kernel", "refresh_idle", "destroy_kernel"]) {
    const expected = ["builtins.ValueError", ["badly formed hexadecimal UUID string"]];
    assert.deepEqual(await failure(client.call(method, ["x"])), expected);
  }
  assert.deepEqual(line.log.messages("error"), []);
});

Deno.test("a bug of the agent is answered without its detail, and logged with it", async () => {
  await using line = await Line.open();
  using client = line.client();
  const internal = ["builtins.RuntimeError", ["internal error of the agent"]];
  line.agent.behaviour = { getLogs: () => Promise.reject(new TypeError("secret")) };
  assert.deepEqual(await failure(client.call("get_logs", [KERNEL])), internal);
  // deno-lint-ignore no-explicit-any -- a value that no correct agent gives
  line.agent.behaviour = { destroyKernel: () => Promise.resolve({ cpu_used: () => 1 } as any) };
  assert.deepEqual(await failure(client.call("destroy_kernel", [KERNEL])), internal);
  assert.deepEqual(line.log.messages("error"), ["RPC call failed: a bug", "RPC reply cannot be encoded: a bug"]);
  assert.equal(await client.call("ping", ["still here"]), "still here");
});

Deno.test("calls run concurrently and are answered in the order of their completion", async () => {
  await using line = await Line.open();
  const gates = new Map<string, PromiseWithResolvers<void>>();
  line.agent.behaviour = {
    destroyKernel: async (_, reason) => {
      const gate = Promise.withResolvers<void>();
      gates.set(reason, gate);
      await gate.promise;
      return null;
    },
  };
  const { socket, inbox } = line.raw();
  const ask = (id: number, method: string, args: readonly unknown[]) => {
    socket.send(encodeRequest({ method, args, kwargs: {} }, id, ME, 0));
  };
  const ids: number[] = [];
  const answered = async () => {
    const [frames = []] = await inbox.take(1);
    ids.push(decodeReply(frames)?.id ?? -1);
  };
  for (const id of [1, 2, 3]) ask(id, "destroy_kernel", [KERNEL, `${id}`]);
  ask(4, "ping", ["x"]);
  await answered();
  for (const id of [2, 3, 1]) {
    gates.get(`${id}`)?.resolve();
    await answered();
  }
  assert.deepEqual(ids, [4, 2, 3, 1]);
  ask(5, "ping", ["x"]);
  await answered();
  assert.deepEqual(ids, [4, 2, 3, 1, 5]);
  assert.equal(inbox.received, 5);
});

Deno.test("[01-D2] close() cancels what is under way, and everything gets its one answer", async () => {
  const line = await Line.open();
  const stopped: unknown[] = [];
  const untilStopped = (signal: AbortSignal) => {
    return new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => {
        stopped.push(signal.reason);
        reject(signal.reason);
      });
    });
  };
  line.agent.behaviour = {
    getLogs: (_, signal) => untilStopped(signal),
    destroyAll: async (_, signal) => {
      await untilStopped(signal).catch(() => {}); // finishes its work all the same
    },
  };
  const client = line.client();
  const calls = [
    ...Array.from({ length: 20 }, () => client.call("get_logs", [KERNEL])),
    client.call("reset_agent"),
  ];
  const settled = Promise.allSettled(calls);
  await client.call("ping", ["they are there"]);
  await Promise.all([line.server.close(), line.server.close()]);
  const results = await settled;
  assert.equal(stopped.length, 21);
  for (const result of results.slice(0, 20)) {
    assert.ok(result.status === "rejected" && result.reason instanceof RpcError);
    assert.deepEqual(result.reason.args, ["Cannot start anything new: the agent is stopping"]);
  }
  assert.deepEqual(results[20], { status: "fulfilled", value: null });
  await line[Symbol.asyncDispose]();
  assert.deepEqual(line.log.messages("error"), []);
});

Deno.test("[01-2.1, 01-D2] what is no request is answered where its header can be read, and dropped where not", async () => {
  await using line = await Line.open();
  const { socket, inbox } = line.raw();
  const [header = new Uint8Array(), name = header, args = header, kwargs = header] = encodeRequest(
    { method: "ping", args: ["x"], kwargs: {} },
    9,
    ME,
    0,
  );
  const empty = new Uint8Array(0);
  for (const frames of [[empty], [name, args, kwargs], [header.subarray(1), name, args, kwargs], [name]]) {
    socket.send(frames);
  }
  for (const frames of [[header], [header, name], [header, name, args], [header, name, args, empty]]) {
    socket.send(frames);
    const [reply = []] = await inbox.take(1);
    const decoded = decodeReply(reply);
    assert.ok(decoded?.id === 9 && !decoded.ok);
    assert.equal(decoded.error[0], "aiozmq.rpc.base.ParametersError");
  }
  socket.send([empty, name, header, name, args, kwargs]);
  const [[first, second, ...reply] = []] = await inbox.take(1);
  assert.deepEqual([first?.length, new TextDecoder().decode(second)], [0, "ping"]); // what a broker puts in front comes back
  assert.deepEqual(decodeReply(reply), { id: 9, ok: true, value: "x" });
  assert.equal(inbox.received, 5);
  assert.equal(line.log.messages("warn").length, 4);
});

Deno.test("[01-D8] pickled Python objects are refused, and the answer says so", async () => {
  await using line = await Line.open();
  const { socket, inbox } = line.raw();
  const [header = new Uint8Array(), name = header, , kwargs = header] = encodeRequest(
    { method: "ping", args: ["x"], kwargs: {} },
    9,
    ME,
    0,
  );
  for (const type of [123, 124, 125, 126, 127]) {
    for (const args of [Uint8Array.of(0x91, 0xd4, type, 0x2e), Uint8Array.of(0x91, 0xc7, 2, type, 0x4e, 0x2e)]) {
      socket.send([header, name, args, kwargs]);
      const [frames = []] = await inbox.take(1);
      const reply = decodeReply(frames);
      assert.ok(reply?.ok === false);
      assert.match(`${reply.error[1][0]}`, /pickled Python object/);
    }
  }
  assert.equal(inbox.received, 10);
});

Deno.test("a flood of calls that wait is limited, and each is answered", async () => {
  await using line = await Line.open();
  using client = line.client();
  const gate = Promise.withResolvers<void>();
  line.agent.behaviour = { destroyAll: () => gate.promise };
  const calls = Array.from({ length: 4_100 }, () => client.call("reset_agent"));
  const settled = Promise.allSettled(calls);
  assert.equal((await failure(client.call("ping", ["they are there"])))[0], "aiozmq.rpc.base.ParametersError");
  gate.resolve();
  const results = await settled;
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 4_096);
  assert.equal(line.agent.calls.length, 4_096);
});

Deno.test("open() says plainly that the address is taken", async () => {
  await using line = await Line.open();
  const { sockets, endpoint, log } = line;
  const options = { sockets, endpoint, methods: new Map(), sender: ME, clock: new SystemClock(), log };
  const second = new RpcServer(options);
  await assert.rejects(second.bind(), { code: "start_failed" });
  await second.close();
});

Deno.test("the client gives up after its time-out, at its signal, and when it is closed", async () => {
  await using line = await Line.open();
  const gate = Promise.withResolvers<void>();
  line.agent.behaviour = { destroyAll: () => gate.promise };
  const client = line.client();
  await assert.rejects(client.call("reset_agent", [], { timeoutMs: 20 }), { name: "TimeoutError" });
  const controller = new AbortController();
  const cancelled = client.call("reset_agent", [], { signal: controller.signal });
  const reason = new KernelNotFound("x");
  controller.abort(reason);
  await assert.rejects(cancelled, (error) => error === reason);
  await assert.rejects(client.call("ping", ["x"], { signal: controller.signal }), (error) => error === reason);
  gate.resolve(); // late answers are dropped
  assert.equal(await client.call("ping", ["x"]), "x");
  line.agent.behaviour = {
    destroyAll: (_, signal) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
  };
  const pending = client.call("reset_agent");
  client.close();
  await assert.rejects(pending, { name: "AbortError" });
  await assert.rejects(client.call("ping", ["x"]), { name: "AbortError" });
});

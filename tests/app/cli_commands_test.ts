import assert from "node:assert/strict";
import { parseImageId } from "../../domain/ids.ts";
import { parseImageRef } from "../../domain/image/image_ref.ts";
import type { Caller } from "../../src/cli/agent_calls.ts";
import { Commands, type CommandTools } from "../../src/cli/commands.ts";
import { CommandFailed, EXIT } from "../../src/cli/failure.ts";

const KERNEL = "11111111-2222-4333-8444-555555555555";
const IMAGE_ID = `sha256:${"ab".repeat(32)}`;

type Call = readonly [method: string, args: readonly unknown[]];

/** An agent that answers each method from its list, in order; the last answer is repeated. An Error is thrown. */
function makeTools(answers: Readonly<Record<string, readonly unknown[]>>, input: readonly string[] = []) {
  const calls: Call[] = [];
  const printed: string[] = [];
  const shown: string[] = [];
  const pauses: number[] = [];
  const lines = [...input];
  let open = 0;
  let interrupt: () => void = () => {};
  let clock = 0;
  const caller: Caller = {
    call: (method, args) => {
      calls.push([method, args]);
      const list = answers[method] ?? [];
      const answer = list[Math.min(calls.filter(([name]) => name === method).length, list.length) - 1];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
  const tools: CommandTools = {
    connect: () => {
      open++;
      return { call: caller.call, [Symbol.asyncDispose]: () => Promise.resolve(void open--) };
    },
    findImage: (name) =>
      Promise.resolve({
        ref: parseImageRef(name),
        id: parseImageId(IMAGE_ID),
        labels: { "ai.backend.kernelspec": "1" },
      }),
    terminal: {
      show: ([kind, data]) => void shown.push(`${kind}:${String(data)}`),
      ask: () => {
        const line = lines.shift();
        return line === undefined ? Promise.reject(new CommandFailed("no input left")) : Promise.resolve(line);
      },
    },
    print: (text) => void printed.push(text),
    readStandardInput: () => Promise.resolve("from stdin"),
    readFile: (path) => Promise.resolve(`from ${path}`),
    now: () => clock,
    newId: () => KERNEL,
    pause: (ms) => {
      pauses.push(ms);
      clock += ms;
      return Promise.resolve();
    },
    onInterrupt: (handle) => {
      interrupt = handle;
      return { [Symbol.dispose]: () => void (interrupt = () => {}) };
    },
    signal: new AbortController().signal,
  };
  return { tools, calls, printed, shown, pauses, interrupt: () => interrupt(), openConnections: () => open };
}

function reply(status: string, output: readonly unknown[] = [], exitCode: number | null = null) {
  return { runId: "r", status, exitCode, options: null, files: [], console: output };
}

Deno.test("run() shows output as it comes and ends with the exit code of the code", async () => {
  const { tools, calls, shown, openConnections } = makeTools({
    execute: [
      reply("continued", [["stdout", "one\n"]]),
      reply("continued"),
      reply("finished", [["stderr", "two\n"]], 3),
    ],
  });
  const commands = new Commands(tools);
  await commands.run(KERNEL, { code: "print(1)" });
  assert.deepEqual(shown, ["stdout:one\n", "stderr:two\n"]);
  assert.equal(commands.exitCode, 3);
  assert.deepEqual(calls.map(([, args]) => [args[3], args[4]]), [["query", "print(1)"], ["continue", ""], [
    "continue",
    "",
  ]]);
  assert.equal(openConnections(), 0);
});

Deno.test("run() answers code that waits for input, once for each question", async () => {
  const { tools, calls, shown } = makeTools({
    execute: [
      reply("waiting-input", [["stdout", "who? "]]),
      reply("waiting-input", [["stdout", "where? "]]),
      reply("finished", [["stdout", "hi"]], 0),
    ],
  }, ["bob", "here"]);
  await new Commands(tools).run(KERNEL, { code: "input()" });
  assert.deepEqual(calls.map(([, args]) => [args[3], args[4]]), [["query", "input()"], ["input", "bob"], [
    "input",
    "here",
  ]]);
  assert.deepEqual(shown, ["stdout:who? ", "stdout:where? ", "stdout:hi"]);
});

Deno.test("run() takes code from a file or from standard input", async () => {
  const cases = [[{ file: "a.py" }, "from a.py"], [{ code: "-" }, "from stdin"], [{}, "from stdin"]] as const;
  for (const [options, code] of cases) {
    const { tools, calls } = makeTools({ execute: [reply("finished", [], 0)] });
    await new Commands(tools).run(KERNEL, options);
    assert.equal(calls[0]?.[1][4], code);
  }
});

Deno.test("[01 §11.9] run() says that the kernel has ended when the agent answers nil", async () => {
  const { tools, openConnections } = makeTools({ execute: [null] });
  await assert.rejects(new Commands(tools).run(KERNEL, { code: "1" }), /the kernel has ended/);
  assert.equal(openConnections(), 0);
});

Deno.test("run() passes Ctrl-C on to the kernel and goes on reading its output", async () => {
  const world = makeTools({
    execute: [reply("waiting-input"), reply("finished", [["stderr", "KeyboardInterrupt"]], 1)],
  });
  const ask = () => {
    world.interrupt();
    return Promise.resolve("");
  };
  const commands = new Commands({ ...world.tools, terminal: { ...world.tools.terminal, ask } });
  await commands.run(KERNEL, { code: "wait" });
  assert.deepEqual(world.calls.map(([method]) => method), ["execute", "interrupt_kernel", "execute"]);
  assert.equal(commands.exitCode, 1);
});

Deno.test("[04 §2] create() sends what a manager would send, and prints the kernel's id", async () => {
  const { tools, calls, printed } = makeTools({
    create_kernel: [{ id: KERNEL, container_id: "c", service_ports: [{ name: "sshd", host_ports: [30000] }] }],
  });
  await new Commands(tools).create({
    image: "lablup/python:3.6-ubuntu18.04",
    cpu: "2",
    mem: 256n << 20n,
    shmem: 16n << 20n,
    idleTimeout: 60,
    env: { A: "b" },
    label: { "ai.backend.runtime-type": "python" },
  });
  assert.deepEqual(printed, [`${KERNEL}\n`]);
  assert.deepEqual(calls, [["create_kernel", [KERNEL, {
    image: {
      registry: { name: "index.docker.io", url: "" },
      digest: IMAGE_ID,
      repo_digest: null,
      canonical: "index.docker.io/lablup/python:3.6-ubuntu18.04",
      labels: { "ai.backend.kernelspec": "1", "ai.backend.runtime-type": "python" },
    },
    session_type: "interactive",
    resource_slots: { cpu: "2", mem: "268435456" },
    resource_opts: { shmem: 16777216 },
    idle_timeout: 60,
    mounts: [],
    environ: { A: "b" },
    startup_command: null,
    internal_data: null,
  }]]]);
});

Deno.test("ping() asks again until the agent answers", async () => {
  const away = new CommandFailed("nobody", EXIT.unreachable);
  const { tools, printed, pauses, openConnections } = makeTools({ ping: [away, away, "hello"] });
  await new Commands(tools).ping({ wait: 10 });
  assert.equal(pauses.length, 2);
  assert.match(printed.join(""), /^the agent answered in/);
  assert.equal(openConnections(), 0);
});

Deno.test("ping() gives up when the time is over, and at once when the agent says no", async () => {
  const away = new CommandFailed("nobody", EXIT.unreachable);
  await assert.rejects(new Commands(makeTools({ ping: [away] }).tools).ping({ wait: 1 }), away);
  const no = new CommandFailed("no");
  const { tools, pauses } = makeTools({ ping: [no] });
  await assert.rejects(new Commands(tools).ping({ wait: 10 }), no);
  assert.deepEqual(pauses, []);
});

Deno.test("demo() destroys the kernel when a step in it fails", async () => {
  const { tools, calls } = makeTools({
    create_kernel: [{ id: KERNEL, container_id: "c", service_ports: [] }],
    execute: [reply("finished", [["stderr", "no"]], 0)], // an uncaught exception: 06 §9.1
    destroy_kernel: [null],
  });
  await assert.rejects(
    new Commands(tools).demo({ pythonImage: "a/b:c", typescriptImage: "a/b:d" }),
    /the Python code failed/,
  );
  assert.deepEqual(calls.map(([method]) => method), ["create_kernel", "execute", "destroy_kernel"]);
});

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { builtRunner, HostRunner, type RunResult } from "./runner_peer.ts";

/** The runner as a process of this host, with plain `python3`; containers are the matter of runner_container_test.ts. */
const folder = await builtRunner();
const hasPython = await new Deno.Command("python3", { args: ["-V"], stdout: "null", stderr: "null" }).output()
  .then((result) => result.success, () => false);
if (!hasPython) console.log("skipped: Python cases of runner_host_test.ts: there is no python3 on this machine");

function python(name: string, fn: (runner: HostRunner) => Promise<void>): void {
  Deno.test({
    name: `runner, python: ${name}`,
    ignore: !hasPython,
    async fn() {
      await using runner = await HostRunner.start(folder, ["python"]);
      await fn(runner);
    },
  });
}

function script(name: string, fn: (runner: HostRunner) => Promise<void>, type = "typescript"): void {
  Deno.test(`runner, ${type}: ${name}`, async () => {
    await using runner = await HostRunner.start(folder, [type]);
    await fn(runner);
  });
}

/** Compares what a run gave, without its messages. */
function gives(result: RunResult, stdout: string, stderr: string | RegExp = "", exitCode = 0): void {
  assert.equal(result.stdout, stdout);
  if (typeof stderr === "string") assert.equal(result.stderr, stderr);
  else assert.match(result.stderr, stderr);
  assert.equal(result.exitCode, exitCode);
}

python("[06 §9.1] a query gives its output and the last expression without a newline", async ({ peer }) => {
  gives(await peer.query('print("hello")'), "hello\n");
  gives(await peer.query("1+2"), "3");
  gives(await peer.query("x = 40\nprint('a')\nx + 2"), "a\n42");
  gives(await peer.query("None"), "");
  gives(await peer.query("x;"), "");
  gives(await peer.query(""), "");
});

python("[07 §2.2] names last from query to query, in a module __main__", async ({ peer }) => {
  await peer.query("from __future__ import annotations\nimport math\ndef f(n): return math.floor(n)\n");
  gives(await peer.query("f(2.5), __name__"), "(2, '__main__')");
  gives(await peer.query("_"), "(2, '__main__')");
  gives(await peer.query("[n for n in dir() if not n.startswith('_')]"), "['annotations', 'f', 'math']");
  gives(
    await peer.query("class A:\n  x: Undefined\nimport pickle\nisinstance(pickle.loads(pickle.dumps(A())), A)"),
    "True",
  );
});

python("[06 §4.1] an error gives CPython's traceback with source lines, and exit code 0", async ({ peer }) => {
  await peer.query("def f():\n    return 1/0\n");
  const { stdout, stderr, exitCode } = await peer.query("print('before')\nf()");
  assert.equal(stdout, "before\n");
  assert.match(stderr, /^Traceback \(most recent call last\):\n {2}File "<input-2>", line 2, in <module>\n {4}f\(\)\n/);
  assert.match(stderr, /File "<input-1>", line 2, in f\n {4}return 1\/0\n/);
  assert.match(stderr, /\nZeroDivisionError: division by zero\n$/);
  assert.doesNotMatch(stderr, /driver\.py/);
  assert.equal(exitCode, 0);
  gives(
    await peer.query("let x"),
    "",
    /^ {2}File "<input-3>", line 1\n {4}let x\n[\s^]*SyntaxError: invalid syntax\n$/,
  );
  gives(await peer.query("import sys; sys.exit(3)"), "", "SystemExit: 3\n");
  gives(await peer.query("f.__name__"), "'f'");
});

python("[06 D-R3] an interpreter that ends is noticed and replaced", async ({ peer }) => {
  gives(await peer.query("import os\nprint('last words', end='')\nos._exit(3)"), "last words", /exit status 3/, 3);
  gives(await peer.query("import os\nos.kill(os.getpid(), 9)"), "", /signal 9/, -9);
  gives(await peer.query("os"), "", /NameError/);
});

python("[06 §9.6] an interrupt ends a query with KeyboardInterrupt and keeps its variables", async ({ peer }) => {
  peer.send({ kind: "code", text: "x = 1\nprint('go', flush=True)\nimport time\ntime.sleep(60)" });
  await peer.untilOutput("stdout", "go\n");
  peer.send({ kind: "interrupt" });
  gives(await peer.end(), "", /KeyboardInterrupt\n$/);
  peer.send({ kind: "interrupt" }); // nothing runs: nothing happens
  gives(await peer.query("x"), "1");
});

python(
  "[06 D-R5] an interrupt reaches what the query has started, and repeated ones end anything",
  async ({ peer }) => {
    peer.send({ kind: "code", text: "import subprocess\nsubprocess.run('echo go; sleep 60 | cat', shell=True)" });
    await peer.untilOutput("stdout", "go\n");
    peer.send({ kind: "interrupt" });
    assert.match((await peer.end()).stderr, /KeyboardInterrupt/);
    const stubborn = "import signal\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\nprint('go')\nwhile True: pass";
    peer.send({ kind: "code", text: stubborn });
    await peer.untilOutput("stdout", "go\n");
    peer.send({ kind: "interrupt" }, { kind: "interrupt" }, { kind: "interrupt" }, { kind: "interrupt" });
    assert.equal((await peer.end()).exitCode, -9);
  },
);

python("[06 §9.3] input() and getpass() ask, after everything that was printed", async ({ peer }) => {
  peer.send({ kind: "input", text: "stale" }); // 06 D-R7: nobody waits for it
  peer.send({ kind: "code", text: "name = input('>> '); print('Hello,', name)" });
  const asked = await peer.until((message) => message.kind === "waiting-input");
  assert.deepEqual(asked.at(-1), { kind: "waiting-input", options: { is_password: false } });
  assert.equal(Buffer.concat(asked.flatMap((m) => m.kind === "stdout" ? [m.data] : [])).toString(), ">> ");
  peer.send({ kind: "input", text: "Lablup" });
  gives(await peer.end(), "Hello, Lablup\n");
  peer.send({ kind: "code", text: "from getpass import getpass\ngetpass()" });
  const secret = await peer.until((message) => message.kind === "waiting-input");
  assert.deepEqual(secret.at(-1), { kind: "waiting-input", options: { is_password: true } });
  peer.send({ kind: "interrupt" });
  gives(await peer.end(), "", /KeyboardInterrupt/);
  gives(await peer.query("1"), "1");
});

python("[06 §10] status, complete and a repeated interrupt are not delayed by a running query", async ({ peer }) => {
  peer.send({ kind: "code", text: "print('go')\nwhile True: pass" });
  await peer.untilOutput("stdout", "go\n");
  peer.send({ kind: "status" });
  const status = await peer.next();
  assert.equal(status.kind, "status");
  peer.send({ kind: "complete", code: "pri", options: {} });
  assert.deepEqual(await peer.next(), { kind: "completion", items: [] });
  peer.send({ kind: "interrupt" });
  assert.equal((await peer.end()).exitCode, 0);
});

python("[06 §10] what is no message of the protocol is ignored", async ({ peer }) => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  peer.sendFrames([bytes("code")]);
  peer.sendFrames([bytes("code"), bytes("1"), bytes("2")]);
  peer.sendFrames([bytes("no-such-type"), bytes("")]);
  peer.sendFrames([bytes("complete"), bytes("{no json")]);
  assert.deepEqual(await peer.next(), { kind: "completion", items: [] });
  gives(await peer.query("1"), "1");
});

python("[06 §9.2] output is seen while the query goes on, without a newline or a flush", async ({ peer }) => {
  peer.send({ kind: "code", text: "print('tick', end='')\ninput()" });
  await peer.untilOutput("stdout", "tick");
  await peer.until((message) => message.kind === "waiting-input");
  peer.send({ kind: "input", text: "" });
  await peer.end();
});

python("output of subprocesses and of the descriptors themselves comes before the end of the run", async ({ peer }) => {
  const code = "import os\nos.system('echo shell; echo err >&2')\nos.write(1, b'raw\\n')\nprint('print')";
  const { stdout, stderr } = await peer.query(code);
  assert.deepEqual([stdout, stderr], ["shell\nraw\nprint\n", "err\n"]);
});

python("64 MiB of output come complete and in order, also through a slow agent", async ({ peer }) => {
  const code =
    "import hashlib, os\nb = os.urandom(1 << 20) * 64\nos.write(2, hashlib.sha256(b).hexdigest().encode())\n" +
    "v = memoryview(b)\nwhile v: v = v[os.write(1, v):]";
  peer.pause();
  peer.send({ kind: "code", text: code });
  peer.resume();
  const { messages, stderr } = await peer.end();
  const bytes = Buffer.concat(messages.flatMap((message) => message.kind === "stdout" ? [message.data] : []));
  const digest = Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
  assert.deepEqual([bytes.length, digest], [64 << 20, stderr]);
});

python("code that closes every descriptor, or writes into ours, does not end the runner", async ({ peer }) => {
  await peer.query("import os\nos.closerange(0, 4096)");
  gives(await peer.query("print(1)"), "1\n");
  const { exitCode } = await peer.query(
    "import os\nfor fd in range(3, 2000):\n  try: os.write(fd, b'x' * 4096)\n  except OSError: pass",
  );
  assert.notEqual(exitCode, undefined);
  gives(await peer.query("print(1)"), "1\n");
});

python("a process that user code forks does not become a second kernel", async ({ peer }) => {
  const { stdout } = await peer.query(
    "import os\npid = os.fork()\nif pid: _ = os.waitpid(pid, 0)\nprint('parent' if pid else 'child')",
  );
  assert.equal(stdout, "child\nparent\n");
  gives(await peer.query("pid > 0"), "True");
});

python("a top-level await works where the interpreter has it", async ({ peer }) => {
  gives(await peer.query("import sys, asyncio\nsys.version_info >= (3, 8)"), "True");
  gives(await peer.query("await asyncio.sleep(0.01)\nprint('slept')\n7"), "slept\n7");
});

python("a background process of an earlier query does not keep a run open", async ({ peer }) => {
  gives(await peer.query("import subprocess\np = subprocess.Popen(['sleep', '60'])"), "");
  gives(await peer.query("p.poll() is None"), "True");
});

for (const interpreter of await otherPythons()) {
  Deno.test(`runner, python: the driver works in ${interpreter}`, async () => {
    await using runner = await HostRunner.start(folder, ["python", interpreter]);
    const { peer } = runner;
    gives(await peer.query("import sys\nprint('out')\nsys.executable"), `out\n'${interpreter}'`);
    gives(
      await peer.query("def f():\n  raise KeyError(1)\nf()"),
      "",
      /line 2, in f\n {4}raise KeyError\(1\)\nKeyError: 1\n$/,
    );
    peer.send({ kind: "code", text: "len(input())" });
    await peer.until((message) => message.kind === "waiting-input");
    peer.send({ kind: "input", text: "four" });
    gives(await peer.end(), "4");
    peer.send({ kind: "code", text: "print('go')\nwhile True: pass" });
    await peer.untilOutput("stdout", "go\n");
    peer.send({ kind: "interrupt" });
    gives(await peer.end(), "", /KeyboardInterrupt\n$/);
  });
}

/** Interpreters besides the first in `PATH`, where this machine has pyenv. */
async function otherPythons(): Promise<string[]> {
  const versions = `${Deno.env.get("HOME") ?? ""}/.pyenv/versions`;
  const names = await Array.fromAsync(Deno.readDir(versions), ({ name }) => name).catch((): string[] => []);
  return names.filter((name) => /^3\.\d+\.\d+$/.test(name)).sort().map((name) => `${versions}/${name}/bin/python3`);
}

Deno.test({
  name: "runner: user code sees environ.txt, then the image's values, then defaults, and nothing of the runner's",
  ignore: !hasPython,
  async fn() {
    await using runner = await HostRunner.start(folder, ["python"], {
      environText: "FROM_SESSION=a=b\nnot a variable\nLANG=ko_KR.UTF-8\nOMP_NUM_THREADS=2\n",
      environment: {
        FROM_IMAGE: "yes",
        LANG: "C",
        LD_LIBRARY_PATH: "/opt/backend.ai/lib:/usr/local/lib",
        HOME: "/root",
      },
    });
    const { stdout } = await runner.peer.query(
      "import os, json; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('/proc/self/fd')]))",
    );
    const [environment, cwd, descriptors] = JSON.parse(stdout);
    assert.equal(environment.FROM_SESSION, "a=b");
    assert.equal(environment.OMP_NUM_THREADS, "2");
    assert.equal(environment.LANG, "ko_KR.UTF-8");
    assert.equal(environment.FROM_IMAGE, "yes");
    assert.equal(environment.LD_LIBRARY_PATH, "/usr/local/lib");
    assert.equal(environment.HOME, runner.workFolder);
    assert.equal(environment.USER, "work");
    assert.deepEqual(Object.keys(environment).filter((name) => name.startsWith("DENO_")), []);
    assert.equal(cwd, runner.workFolder);
    assert.ok(descriptors.includes("1") && !descriptors.includes("4"));
  },
});

script("[07 §2.2] top-level names last, may be declared anew, and types are taken out", async ({ peer }) => {
  gives(await peer.query("const x: number = 40; let y = 2; function f(n: number): number { return n + y; }"), "");
  gives(await peer.query("f(x)"), "42");
  gives(await peer.query("const x: string = 'again'; x"), '"again"');
  gives(
    await peer.query("enum Color { Red = 3 }\nclass P { constructor(private q: Color) {} }\nnew P(Color.Red)"),
    "P { q: 3 }",
  );
  gives(await peer.query("interface Foo { a: string }\nconst foo = { a: 'b' } satisfies Foo; foo"), '{ a: "b" }');
  gives(await peer.query("console.log('out'); console.error('err')"), "out\n", "err\n");
  gives(await peer.query("undefined"), "");
});

script("imports last too: static, dynamic, relative to the work folder", async (runner) => {
  await Deno.writeTextFile(
    `${runner.workFolder}/x.ts`,
    "export const v: number = 42; export default 7; export type T = 1;",
  );
  const { peer } = runner;
  gives(await peer.query('import { join } from "node:path";\nimport seven, { v, type T } from "./x.ts";'), "");
  gives(await peer.query('import * as ns from "./x.ts"; [join("a", "b"), seven, v, ns.v]'), '[ "a/b", 7, 42, 42 ]');
  gives(await peer.query("const name = './x.ts'; (await import(name)).v"), "42");
  gives(await peer.query('import "./none.ts"'), "", /^Uncaught TypeError: Module not found ".*\/none\.ts"/);
});

script("a top-level await is waited for", async ({ peer }) => {
  gives(await peer.query("await new Promise((r) => setTimeout(r, 5)); 'done'"), '"done"');
  gives(
    await peer.query("await Promise.reject(new Error('rej'))"),
    "",
    "Uncaught Error: rej\n    at <anonymous>:1:22\n",
  );
});

script("an uncaught error is shown as Deno shows it, with exit code 0", async ({ peer }) => {
  gives(await peer.query("console.log(1)\nfunction f(): void { throw new TypeError('t') }"), "1\n");
  gives(await peer.query("f()"), "", "Uncaught TypeError: t\n    at f (<anonymous>:2:28)\n    at <anonymous>:1:1\n");
  gives(await peer.query("throw { a: 1 }"), "", "Uncaught { a: 1 }\n");
  gives(await peer.query("let q: = 3"), "", /^Uncaught SyntaxError: [^]*at <anonymous>:1:8\n$/);
  gives(
    await peer.query("throw new Error('a', { cause: new Error('b') })"),
    "",
    /\[cause\]: Error: b\n\s+at <anonymous>:1:31\n}\n$/,
  );
  const late = "setTimeout(() => { throw new Error('late') }, 1); await new Promise((r) => setTimeout(r, 20))";
  gives(await peer.query(late), "", /^Uncaught Error: late\n/);
  const rejected = "Promise.reject(new Error('unheard')); await new Promise((r) => setTimeout(r, 20))";
  gives(await peer.query(rejected), "", /^Uncaught \(in promise\) Error: unheard\n/);
});

script("an interrupt ends a wait and keeps the state; a busy loop costs the state", async ({ peer }) => {
  peer.send({ kind: "code", text: "const kept = 1; console.log('go'); await new Promise(() => {})" });
  await peer.untilOutput("stdout", "go\n");
  peer.send({ kind: "interrupt" });
  gives(await peer.end(), "", "Uncaught Interrupted\n");
  gives(await peer.query("kept"), "1");
  peer.send({ kind: "code", text: "console.log('go'); for (;;);" });
  await peer.untilOutput("stdout", "go\n");
  peer.send({ kind: "interrupt" });
  gives(await peer.end(), "", /variables are lost/, -9);
  gives(await peer.query("typeof kept"), '"undefined"');
});

script("an interpreter that ends is noticed and replaced", async ({ peer }) => {
  gives(await peer.query("console.log('bye'); Deno.exit(3)"), "bye\n", /exit status 3/, 3);
  gives(await peer.query("1"), "1");
});

script("user code sees nothing of the runner's settings", async ({ peer, workFolder }) => {
  await Deno.writeTextFile(`${workFolder}/package.json`, "{ not json");
  gives(await peer.query("Object.keys(Deno.env.toObject()).filter((n) => n.startsWith('DENO_'))"), "[]");
  gives(await peer.query("Deno.exit(0)"), "", /exit status 0/);
  gives(await peer.query("Deno.cwd() === Deno.env.get('HOME')"), "true");
});

script("plain JavaScript is not touched", async ({ peer }) => {
  gives(await peer.query("const f = (a) => a < 1 ? 2 : 3; f(0)"), "2");
  gives(await peer.query("const x: number = 1"), "", /^Uncaught SyntaxError: /);
}, "javascript");

Deno.test("[06 §5.2] runner: batch gives one end a step; exec after a failed build is 127", async () => {
  await using runner = await HostRunner.start(folder, ["c"]);
  const { peer } = runner;
  peer.send({ kind: "clean", command: "" }, { kind: "build", command: "exit 3" }, { kind: "exec", command: "echo no" });
  const messages = await peer.until((message) => message.kind === "finished");
  assert.deepEqual(messages, [
    { kind: "clean-finished", exitCode: 0 },
    { kind: "build-finished", exitCode: 3 },
    { kind: "finished", exitCode: 127 },
  ]);
  peer.send({ kind: "exec", command: "echo out; echo err >&2; exit 7" });
  const { stdout, stderr, exitCode } = await peer.end();
  assert.deepEqual([stdout, stderr, exitCode], ["out\n", "err\n", 7]);
  peer.send({ kind: "exec", command: "*" });
  gives(await peer.end(), "", /./, 127);
  gives(await peer.query("int main() {}"), "", /runtime type "c" has none/, 127);
});

Deno.test("[06 D-R5] runner: an interrupt reaches a whole pipeline", async () => {
  await using runner = await HostRunner.start(folder, ["c"]);
  runner.peer.send({ kind: "exec", command: "echo go; sleep 60 | cat" });
  await runner.peer.untilOutput("stdout", "go\n");
  runner.peer.send({ kind: "interrupt" });
  const { exitCode } = await runner.peer.end();
  assert.ok(exitCode === 130 || exitCode === -2, `exit code ${exitCode}`); // 06 §4.1: depends on the shell
});

Deno.test("[06 D-R14] runner: a daemon that holds the pipes does not keep the run open", async () => {
  await using runner = await HostRunner.start(folder, ["c"]);
  runner.peer.send({ kind: "exec", command: "sleep 60 & echo started" });
  gives(await runner.peer.end(), "started\n");
});

Deno.test("[07 §4.1] runner: without an interpreter a query ends with 127, and everything else is served", async () => {
  await using runner = await HostRunner.start(folder, ["python", "/no/such/python"], {
    environment: { PATH: "/none" },
  });
  const { exitCode } = await runner.peer.query("1");
  assert.ok(exitCode === 127 || exitCode === 0); // 0 where /usr/bin/python3 exists
  runner.peer.send({ kind: "status" });
  assert.equal((await runner.peer.next()).kind, "status");
});

Deno.test({
  name: "[06 §1.4] runner: SIGTERM ends what runs, tells its end, and exits with 0",
  ignore: !hasPython,
  async fn() {
    await using runner = await HostRunner.start(folder, ["python"]);
    runner.peer.send({ kind: "code", text: "import time\nprint('go')\ntime.sleep(60)" });
    await runner.peer.untilOutput("stdout", "go\n");
    runner.process.kill("SIGTERM");
    const { exitCode } = await runner.peer.end();
    assert.equal(exitCode, -15);
    assert.equal((await runner.process.status).code, 0);
  },
});

import assert from "node:assert/strict";
import { docker, hasEngine, RunnerContainer, staticBusybox, TestImage } from "./runner_container.ts";
import { builtRunner } from "./runner_peer.ts";

const PYTHON_IMAGE = "lablup/python:3.6-ubuntu18.04";
const engine = await hasEngine();
const busybox = await staticBusybox();
const pythonImage = engine && await docker("image", "inspect", PYTHON_IMAGE).then(() => true, () => false);
if (!engine) console.log("skipped: runner_container_test.ts: no Docker Engine answers");
if (engine && busybox === undefined) console.log("skipped: runner in busybox: there is no static busybox here");
if (engine && !pythonImage) console.log(`skipped: runner in a Python image: ${PYTHON_IMAGE} is not here`);
const folder = engine ? await builtRunner() : "";

for (const runtime of ["typescript", "javascript"]) {
  Deno.test({
    name: `runner, ${runtime}, in an image with nothing in it`,
    ignore: !engine,
    async fn() {
      await using image = await TestImage.make({});
      await using kernel = await RunnerContainer.start({ image: image.name, runnerFolder: folder, runtime: [runtime] });
      const { peer } = kernel;
      peer.send({ kind: "status" });
      assert.equal((await peer.next()).kind, "status");
      const { stdout, stderr, exitCode } = await peer.query(
        "const x = [1, 2].map((n) => n * 2); console.log(x); x.length",
      );
      assert.deepEqual([stdout, stderr, exitCode], ["[ 2, 4 ]\n2", "", 0]);
      const seen = await peer.query(
        "[Deno.uid(), Deno.gid(), Deno.cwd(), Deno.env.get('HOME'), Deno.env.get('LD_LIBRARY_PATH')]",
      );
      assert.equal(seen.stdout, '[ 1000, 1000, "/home/work", "/home/work", undefined ]');
      assert.equal((await peer.query("await Deno.writeTextFile('note.txt', 'kept')")).stderr, "");
      assert.equal((await peer.query("await Deno.readTextFile('note.txt')")).stdout, '"kept"');
      peer.send({ kind: "exec", command: "echo no shell" });
      const batch = await peer.end();
      assert.equal(batch.exitCode, 127);
      assert.match(batch.stderr, /\/bin\/sh/);
      assert.equal((await peer.query("Deno.exit(0)")).exitCode, 0);
      assert.equal((await peer.query("1")).stdout, "1");
    },
  });
}

Deno.test({
  name: "runner, typescript and batch, in a busybox image",
  ignore: !engine || busybox === undefined,
  async fn() {
    const path = busybox ?? "";
    await using image = await TestImage.make({
      "/bin/busybox": path,
      "/bin/sh": path,
      "/bin/env": path,
      "/bin/ls": path,
    });
    const environment = ["GREETING=hello world", "no variable"];
    await using kernel = await RunnerContainer.start({
      image: image.name,
      runnerFolder: folder,
      runtime: ["typescript"],
      environment,
    });
    const { peer } = kernel;
    assert.equal((await peer.query("Deno.env.get('GREETING')")).stdout, '"hello world"');
    peer.send({ kind: "exec", command: "env; ls /proc/self/fd" });
    const { stdout, exitCode } = await peer.end();
    assert.equal(exitCode, 0);
    assert.match(stdout, /^GREETING=hello world$/m);
    assert.match(stdout, /^HOME=\/home\/work$/m);
    assert.match(stdout, /^SHELL=\/bin\/sh$/m);
    assert.doesNotMatch(stdout, /DENO|LD_LIBRARY_PATH|\/opt\/backend\.ai/);
    assert.match(stdout, /\n0\n1\n2\n3\n$/, "only the standard descriptors, and the one that ls reads the list by");
    assert.equal((await peer.query("1 + 1")).stdout, "2");
  },
});

Deno.test({
  name: "runner, python, in a Debian image",
  ignore: !pythonImage,
  async fn() {
    await using kernel = await RunnerContainer.start({
      image: PYTHON_IMAGE,
      runnerFolder: folder,
      runtime: ["python", "/usr/bin/python3"],
    });
    const { peer, id } = kernel;
    const { stdout, stderr, exitCode } = await peer.query(
      "import os, sys\nprint(os.getuid(), os.getcwd(), sys.executable)\n6*7",
    );
    assert.deepEqual([stdout, stderr, exitCode], ["1000 /home/work /usr/bin/python3\n42", "", 0]);
    const seen = await peer.query(
      "[v for v in os.environ.values() if '/opt/backend.ai' in v], sorted(os.listdir('/proc/self/fd'))[:3]",
    );
    assert.equal(seen.stdout, "([], ['0', '1', '2'])");
    const maps = await peer.query("'/opt/backend.ai' in open('/proc/self/maps').read()");
    assert.equal(maps.stdout, "False");
    assert.match(await docker("logs", id), /kernel-runner: serving python/);
    assert.match(await docker("logs", id), /1000 \/home\/work/);
  },
});

Deno.test({
  name: "[06 D-R3] runner, python: code that uses up the memory ends, not the kernel",
  ignore: !pythonImage,
  async fn() {
    await using kernel = await RunnerContainer.start({
      image: PYTHON_IMAGE,
      runnerFolder: folder,
      runtime: ["python"],
      memory: "128m",
    });
    const { exitCode, stderr } = await kernel.peer.query("b = b'x' * (1 << 30)");
    assert.ok(exitCode === -9 || /MemoryError/.test(stderr), `${exitCode} ${stderr}`);
    assert.equal((await kernel.peer.query("print(1)")).stdout, "1\n");
  },
});

Deno.test({
  name: "[06 §1.4] runner: the stop signal ends the container with its children within 3 s",
  ignore: !pythonImage,
  async fn() {
    await using kernel = await RunnerContainer.start({
      image: PYTHON_IMAGE,
      runnerFolder: folder,
      runtime: ["python"],
    });
    const stubborn =
      "import signal, time\nfor s in (2, 15): signal.signal(s, signal.SIG_IGN)\nprint('go')\ntime.sleep(60)";
    kernel.peer.send({ kind: "code", text: stubborn });
    await kernel.peer.untilOutput("stdout", "go\n");
    await docker("stop", "--time", "3", kernel.id); // SIGKILL would give 137
    assert.equal(await docker("inspect", "--format", "{{.State.ExitCode}}", kernel.id), "0");
  },
});

/** `deploy/backendai-agent`: an executable that becomes the agent. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../../deploy/backendai-agent", import.meta.url));
const LIMIT_MS = 60_000;

async function launch(program: string, args: readonly string[], options: Deno.CommandOptions) {
  const command = new Deno.Command(program, {
    ...options,
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await command.output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

/** A folder of its own for one test. */
function folder(): { readonly path: string } & Disposable {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

Deno.test("backendai-agent works from any directory, through a chain of relative and absolute links", async () => {
  using place = folder();
  Deno.symlinkSync(LAUNCHER, `${place.path}/first`);
  Deno.symlinkSync("first", `${place.path}/second`);
  const { code, stdout } = await launch(`${place.path}/second`, ["--help"], { cwd: place.path });
  assert.match(stdout, /^Usage: backendai-agent /);
  assert.equal(code, 0);
});

Deno.test("[05 §1] backendai-agent keeps relative paths relative to the caller's directory", async () => {
  using place = folder();
  Deno.writeTextFileSync(`${place.path}/agent.toml`, "[agent]\nmode = 1\n");
  const { code, stderr } = await launch(LAUNCHER, ["-f", "agent.toml"], { cwd: place.path });
  assert.match(stderr, /agent\.mode/);
  assert.equal(code, 1);
});

Deno.test("[05 §1] backendai-agent passes blanks and options with two names through", async () => {
  using place = folder();
  for (const option of ["-f", "--config", "--config-path"]) {
    const { code, stderr } = await launch(LAUNCHER, [option, `${place.path}/no such file`], { cwd: place.path });
    assert.match(stderr, /no such file/);
    assert.equal(code, 1);
  }
});

Deno.test("backendai-agent finds deno that is only in npm's global folder, and says so when there is none", async () => {
  using place = folder();
  const bin = `${place.path}/bin`;
  const env = { PATH: `${bin}:/nonexistent`, HOME: place.path, DENO: "", DENO_INSTALL: "" };
  Deno.mkdirSync(bin);
  for (const tool of ["sh", "dirname", "readlink", "uname", "head"]) Deno.symlinkSync(which(tool), `${bin}/${tool}`);
  const without = await launch(LAUNCHER, ["--help"], { cwd: place.path, clearEnv: true, env });
  assert.match(without.stderr, /cannot find deno/);
  assert.equal(without.code, 1);

  Deno.mkdirSync(`${place.path}/npm/bin`, { recursive: true });
  Deno.symlinkSync(Deno.execPath(), `${place.path}/npm/bin/deno`);
  Deno.writeTextFileSync(`${bin}/npm`, `#!${which("sh")}\necho ${place.path}/npm\n`, { mode: 0o755 });
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  const found = await launch(LAUNCHER, ["--help"], {
    cwd: place.path,
    clearEnv: true,
    env: { ...env, DENO_DIR: cache },
  });
  assert.match(found.stdout, /^Usage: /);
});

Deno.test("[05 §4.4] the process that backendai-agent starts is the agent: same id, same signals", async () => {
  using place = folder();
  const port = freePort();
  // An id and a folder of its own: the end of this agent must not touch the kernels of another one on this machine.
  const config = `[agent]\nid = "i-launcher-${port}"\nstate-dir = "${place.path}/state"\n`;
  Deno.writeTextFileSync(`${place.path}/agent.toml`, config);
  const child = new Deno.Command(LAUNCHER, {
    args: ["--standalone", "-f", "agent.toml"],
    cwd: place.path,
    env: { BACKEND_AGENT_PORT: String(port) },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new Response(child.stderr).text();
  try {
    await until(() => listens(port), "the agent serves RPC");
    assert.match(Deno.readTextFileSync(`/proc/${child.pid}/cmdline`), /src\/main\.ts/);
  } finally {
    child.kill("SIGTERM");
  }
  const { code } = await child.status;
  assert.equal(code, 0, await log);
});

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!await condition()) {
    assert.ok(Date.now() < deadline, `not within ${LIMIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function listens(port: number): Promise<boolean> {
  try {
    using _connection = await Deno.connect({ hostname: "127.0.0.1", port });
    return true;
  } catch {
    return false;
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function which(tool: string): string {
  for (const place of ["/bin", "/usr/bin", "/usr/local/bin"]) {
    try {
      return Deno.realPathSync(`${place}/${tool}`);
    } catch { /* not there */ }
  }
  throw new Error(`no ${tool}`);
}

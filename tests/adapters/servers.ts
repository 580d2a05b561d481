/** Real servers for the adapter tests: on free loopback ports, with their data in a temporary folder, ended by `dispose`. */
import { connect, createServer } from "node:net";

const READY_WITHIN_MS = 20_000;

/** A server process that a test can stop, freeze and start again on the same port and data. */
export class TestServer implements AsyncDisposable {
  #process: Deno.ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly command: readonly [string, ...string[]],
    private readonly answers: (port: number) => Promise<boolean>,
  ) {}

  static async redis(...options: string[]): Promise<TestServer> {
    const folder = await Deno.makeTempDir({ prefix: "agent-test-redis-" });
    const port = await freePort();
    const where = ["--bind", "127.0.0.1", "--port", `${port}`, "--dir", folder];
    const command = ["redis-server", ...where, "--appendonly", "yes", ...options] as const;
    return await TestServer.#start(new TestServer(port, folder, command, redisAnswers));
  }

  static async etcd(...options: string[]): Promise<TestServer> {
    const folder = await Deno.makeTempDir({ prefix: "agent-test-etcd-" });
    const [client, peer] = [await freePort(), await freePort()];
    const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
    const command = [
      "etcd",
      ...["--data-dir", folder, "--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--initial-cluster", `default=${peerUrl}`, "--unsafe-no-fsync", ...options],
    ] as const;
    return await TestServer.#start(new TestServer(client, folder, command, etcdAnswers));
  }

  static async #start(server: TestServer): Promise<TestServer> {
    await server.start();
    return server;
  }

  /** Starts it (again) and waits until it answers. */
  async start(): Promise<void> {
    const [program, ...args] = this.command;
    this.#process = new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
    const deadline = Date.now() + READY_WITHIN_MS;
    while (!await this.answers(this.port)) {
      if (Date.now() > deadline) throw new Error(`"${program}" does not answer on port ${this.port}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** SIGKILL: connections are reset, the port is closed. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    process?.kill("SIGKILL");
    await process?.status;
  }

  /** Its connections stay open, and nothing answers, until {@linkcode resume}. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Whether a program of this name can be started here. */
export async function isInstalled(program: string): Promise<boolean> {
  const found = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).output();
  if (!found.success) console.log(`skipped: "${program}" is not installed`);
  return found.success;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" ? address?.port ?? 0 : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Any reply will do, also that a password is missing. */
function redisAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    const settle = (text: string) => {
      socket.destroy();
      resolve(text !== "" && !text.startsWith("-LOADING"));
    };
    socket.once("data", (data) => settle(data.toString()));
    socket.once("error", () => settle(""));
    socket.once("end", () => settle(""));
  });
}

async function etcdAnswers(port: number): Promise<boolean> {
  try {
    const reply = await fetch(`http://127.0.0.1:${port}/health`);
    return (await reply.text()).includes('"health":"true"');
  } catch {
    return false; // not listening yet
  }
}

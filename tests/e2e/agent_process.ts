/** The agent as an operator starts it, in a folder of its own, and what a test needs to see of it. */
import { fileURLToPath } from "node:url";
import { connectAgent } from "../../src/cli/connection.ts";
import { AgentCalls } from "../../src/cli/agent_calls.ts";
import { creationConfig } from "../../src/cli/creation_config.ts";
import { findLocalImage } from "../../src/cli/local_image.ts";
import { runCode } from "../../src/cli/run_code.ts";
import { TestEngine } from "../adapters/docker_engine.ts";

const LAUNCHER = fileURLToPath(new URL("../../deploy/backendai-agent", import.meta.url));
const READY_WITHIN_MS = 60_000;
const STOPPED_WITHIN_MS = 45_000;
const CALLS_WITHIN_MS = 180_000;

export interface AgentOptions {
  readonly args?: readonly string[];
  /** More of the configuration file. */
  readonly toml?: string;
  /** Keys of its section `container`, as TOML has them. */
  readonly container?: Readonly<Record<string, string>>;
  /** RPC port; a free one by default. */
  readonly port?: number;
}

/** One agent under test. Disposal kills it and removes its containers, its network and its files. */
export class AgentProcess implements AsyncDisposable {
  readonly id: string;
  readonly port: number;
  readonly endpoint: string;
  readonly scratchRoot: string;
  readonly #engine = new TestEngine();
  readonly #folder = Deno.makeTempDirSync({ prefix: "agent-e2e-" });
  readonly #options: AgentOptions;
  #child: Deno.ChildProcess | undefined;
  #log: Promise<void> = Promise.resolve();
  /** Everything that it wrote to its log, over all starts. */
  output = "";

  constructor(options: AgentOptions = {}) {
    this.#options = options;
    this.id = this.#engine.agentId("e2e");
    this.port = options.port ?? freePort();
    this.endpoint = `tcp://127.0.0.1:${this.port}`;
    this.scratchRoot = `${this.#folder}/scratches`;
    Deno.writeTextFileSync(`${this.#folder}/agent.toml`, this.#configuration());
  }

  /** Starts it (again), without waiting until it serves. */
  launch(): void {
    const child = new Deno.Command(LAUNCHER, {
      args: ["-f", `${this.#folder}/agent.toml`, ...this.#options.args ?? []],
      cwd: this.#folder,
      // It wins over the configuration, also where a test asks for another engine.
      env: this.#options.container?.["docker-host"] === undefined ? {} : { DOCKER_HOST: this.#engineWanted() },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    this.#log = this.#read(child.stderr);
  }

  /** Starts it (again) and resolves when it serves. */
  async start(): Promise<void> {
    const before = this.#starts();
    this.launch();
    await until(() => this.#starts() > before, READY_WITHIN_MS, () => `the agent does not start:\n${this.output}`);
  }

  /** Sends a signal and returns the exit code. */
  async stop(signal: "SIGINT" | "SIGTERM" | "SIGKILL"): Promise<number> {
    this.#child?.kill(signal);
    return await this.exit();
  }

  /** Sends a signal without waiting for anything. */
  signal(signal: "SIGINT" | "SIGTERM"): void {
    this.#child?.kill(signal);
  }

  /** Waits for its end by itself. */
  async exit(): Promise<number> {
    const child = this.#child;
    if (child === undefined) return 0;
    const overdue = setTimeout(() => child.kill("SIGKILL"), STOPPED_WITHIN_MS);
    const { code } = await child.status;
    clearTimeout(overdue);
    await this.#log;
    this.#child = undefined;
    return code;
  }

  /** A client of its own; dispose of it. */
  connect(): AgentClient {
    return new AgentClient(this.endpoint);
  }

  /** What is left on the machine of this agent and its kernels. */
  async leftovers(): Promise<readonly string[]> {
    const label = `ai.backend.internal.agent-id=${this.id}`;
    const scratches = await Array.fromAsync(Deno.readDir(this.scratchRoot)).catch(() => []);
    return [
      ...(await this.#engine.ids("/containers/json", label)).map((id) => `container ${id}`),
      ...(await this.#engine.ids("/networks", label)).map((id) => `network ${id}`),
      ...scratches.map(({ name }) => `scratch ${name}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    await this.#engine[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }

  #configuration(): string {
    const first = freePort(); // far from those that other tests take at the same moment
    const container = {
      "kernel-host": '"127.0.0.1"',
      "port-range": `[${first}, ${first + 40}]`,
      "scratch-type": '"hostdir"',
      "scratch-root": `"${this.scratchRoot}"`,
      ...this.#options.container,
    };
    return `
[agent]
mode = "docker"
id = "${this.id}"
rpc-listen-addr = { host = "127.0.0.1", port = ${this.port} }
state-dir = "${this.#folder}/state"
[container]
${Object.entries(container).map(([key, value]) => `${key} = ${value}`).join("\n")}
[resource]
reserved-cpu = 0
reserved-mem = "256M"
cpu-overcommit-factor = 8
[logging.pkg-ns]
"ai.backend" = "INFO"
[logging.console]
colored = false
${this.#options.toml ?? ""}`;
  }

  /** The TOML text without its quotes. */
  #engineWanted(): string {
    return JSON.parse(this.#options.container?.["docker-host"] ?? '""');
  }

  #starts(): number {
    return this.output.split("agent started").length - 1;
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) this.output += text;
  }
}

/** Calls of a manager, shortened to what the tests need. */
export class AgentClient implements AsyncDisposable {
  readonly calls: AgentCalls;
  readonly #connection: ReturnType<typeof connectAgent>;

  constructor(endpoint: string) {
    this.#connection = connectAgent(endpoint);
    this.calls = new AgentCalls(this.#connection, AbortSignal.timeout(CALLS_WITHIN_MS));
  }

  /** Creates a kernel and returns its id. */
  async create(image: string, kernelId: string = crypto.randomUUID()): Promise<string> {
    const engine = Deno.env.get("DOCKER_HOST") ?? "unix:///var/run/docker.sock";
    await this.calls.create(
      kernelId,
      creationConfig({
        image: await findLocalImage(image, engine, AbortSignal.timeout(CALLS_WITHIN_MS)),
        cpu: "1",
        memBytes: 256n << 20n,
        shmemBytes: 0n,
        idleTimeoutS: 0,
        environ: {},
      }),
    );
    return kernelId;
  }

  /** Runs code to its end and returns what it printed. */
  async run(kernelId: string, code: string): Promise<string> {
    let printed = "";
    await runCode(this.calls, { kernelId, runId: crypto.randomUUID(), code }, {
      show: ([kind, data]) => {
        if (kind === "stdout" || kind === "stderr") printed += String(data);
      },
      ask: () => Promise.reject(new Error("nobody to ask")),
    });
    return printed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

/** Looks every 50 ms. @throws {Error} with `message` when `limitMs` is over. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs: number,
  message: () => string,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(message());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

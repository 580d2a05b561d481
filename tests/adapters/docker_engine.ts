/** What the Docker tests need around the adapter: images made from nothing, a proxy, a registry, and their removal. */
import { Buffer } from "node:buffer";
import { type Endpoint, engineEndpoint } from "../../adapters/docker/endpoint.ts";
import { EngineClient } from "../../adapters/docker/engine_client.ts";
import { type AgentId, type ImageId, parseAgentId, parseImageId } from "../../domain/ids.ts";
import type { Log } from "../../src/ports/log.ts";

/** The machine's own engine. */
export const ENGINE: Endpoint = engineEndpoint(Deno.env.get("DOCKER_HOST"));
/** On everything that a test makes on the engine; the value is the test's own. */
const TEST_LABEL = "ai.backend.test";
const BUSYBOX = "/bin/busybox";

/** Why the tests cannot run here; undefined if they can. */
export async function whyNoEngine({ registry = false } = {}): Promise<string | undefined> {
  if (registry && !await hasProgram("docker-registry")) {
    return "docker-registry is missing (Debian package docker-registry)";
  }
  try {
    await Deno.stat(BUSYBOX);
  } catch {
    return `${BUSYBOX} is missing (Debian package busybox-static)`;
  }
  try {
    await using engine = new TestEngine();
    await engine.call("GET", "/_ping");
  } catch (error) {
    return `no Docker Engine answers: ${error instanceof Error ? error.message : error}`;
  }
}

/** Raw calls to the engine, without the adapter under test. Disposal removes everything that was made with {@linkcode label}. */
export class TestEngine implements AsyncDisposable {
  /** `TEST_RUN` is how a script that was interrupted finds what its tests could not remove any more. */
  readonly run = `${Deno.env.get("TEST_RUN") ?? ""}${crypto.randomUUID().slice(0, 8)}`;
  readonly label = `${TEST_LABEL}=${this.run}`;
  readonly #http = Deno.createHttpClient({ proxy: ENGINE });
  readonly #agents: string[] = [];

  /** An agent id whose containers and network are removed at the end. */
  agentId(name: string): string {
    const id = `i-test-${this.run}-${name}`;
    this.#agents.push(id);
    return id;
  }

  /** @throws {Error} for a refusal. */
  async call(method: string, path: string, body?: BodyInit, headers: Record<string, string> = {}): Promise<string> {
    const init = { method, headers, body: body ?? null, client: this.#http };
    const response = await fetch(`http://engine${path}`, init);
    const text = await response.text();
    if (!response.ok && response.status !== 304) {
      throw new Error(`${method} ${path}: ${response.status} ${text.trim()}`);
    }
    return text;
  }

  /** The ids of what `path` lists under a label. */
  async ids(path: "/containers/json" | "/networks" | "/images/json", label: string): Promise<readonly string[]> {
    const query = new URLSearchParams({ all: "true", filters: JSON.stringify({ label: [label] }) });
    const found: unknown = JSON.parse(await this.call("GET", `${path}?${query}`));
    return Array.isArray(found) ? found.map(({ Id }) => String(Id)) : [];
  }

  /** An image of nothing but these files, made as `docker import` does. */
  async importImage(content: ImageContent): Promise<ImageId> {
    const folder = await Deno.makeTempDir({ prefix: "agent-test-image-" });
    try {
      const archive = await archiveOf(folder, content);
      const query = new URLSearchParams({ fromSrc: "-" });
      if (content.tag !== undefined) {
        const colon = content.tag.lastIndexOf(":");
        query.set("repo", content.tag.slice(0, colon));
        query.set("tag", content.tag.slice(colon + 1));
      }
      for (const [label, value] of [...content.labels ?? [], [TEST_LABEL, this.run]]) {
        query.append("changes", `LABEL ${JSON.stringify(label)}=${JSON.stringify(value)}`);
      }
      for (const path of content.volumes ?? []) query.append("changes", `VOLUME ${path}`);
      const headers = { "content-type": "application/x-tar" };
      const reply = await this.call("POST", `/images/create?${query}`, archive, headers);
      return parseImageId(/sha256:[0-9a-f]{64}/.exec(reply)?.[0]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  /** An image with a shell, in which `sleep`, `echo` and `printf` work. */
  async importBusybox(): Promise<ImageId> {
    return await this.importImage({
      programs: new Map([["/bin/busybox", BUSYBOX]]),
      links: new Map(["sh", "sleep", "nc", "ping", "id", "cat"].map((name) => [`/bin/${name}`, "/bin/busybox"])),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    const attempt = async (work: () => Promise<unknown>) => void await work().catch((error) => failures.push(error));
    for (const agent of this.#agents) {
      for (const label of ["ai.backend.internal.agent-id", "ai.backend.internal.image-reader"]) {
        await attempt(() =>
          this.#removeAll("/containers/json", `${label}=${agent}`, "/containers/ID?force=true&v=true")
        );
      }
      await attempt(() => this.#removeAll("/networks", `ai.backend.internal.agent-id=${agent}`, "/networks/ID"));
    }
    await attempt(() => this.#removeAll("/containers/json", this.label, "/containers/ID?force=true&v=true"));
    await attempt(() => this.#removeAll("/images/json", this.label, "/images/ID?force=true"));
    this.#http.close();
    if (failures.length > 0) throw new AggregateError(failures, "the Docker tests left something behind");
  }

  async #removeAll(
    list: "/containers/json" | "/networks" | "/images/json",
    label: string,
    item: string,
  ): Promise<void> {
    for (const id of await this.ids(list, label)) {
      await this.call("DELETE", item.replace("ID", id)).catch((error) => {
        if (!/: 404 /.test(String(error))) throw error;
      });
    }
  }
}

export interface ImageContent {
  readonly tag?: string;
  readonly labels?: ReadonlyMap<string, string>;
  readonly volumes?: readonly string[];
  readonly files?: ReadonlyMap<string, string>;
  readonly links?: ReadonlyMap<string, string>;
  /** Executables by their path in the image: the path on this machine. */
  readonly programs?: ReadonlyMap<string, string>;
}

async function archiveOf(folder: string, content: ImageContent): Promise<Uint8Array<ArrayBuffer>> {
  const place = async (path: string) => {
    const target = `${folder}${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    return target;
  };
  for (const [path, text] of content.files ?? []) await Deno.writeTextFile(await place(path), text);
  for (const [path, source] of content.programs ?? []) await Deno.copyFile(source, await place(path));
  for (const [path, target] of content.links ?? []) await Deno.symlink(target, await place(path));
  const { stdout } = await new Deno.Command("tar", { args: ["-C", folder, "-cf", "-", "."] }).output();
  return stdout;
}

/** Carries connections to the engine over a Unix socket or TCP of its own, and can cut them. */
export class EngineProxy implements AsyncDisposable {
  readonly #listener: Deno.Listener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #tasks = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  private constructor(readonly endpoint: Endpoint, listener: Deno.Listener) {
    this.#listener = listener;
    this.#accepting = this.#accept();
  }

  static async listen(transport: "unix" | "tcp"): Promise<EngineProxy> {
    if (transport === "tcp") {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      return new EngineProxy({ transport, hostname: "127.0.0.1", port: listener.addr.port }, listener);
    }
    const path = `${await Deno.makeTempDir({ prefix: "agent-test-proxy-" })}/docker.sock`;
    return new EngineProxy({ transport, path }, Deno.listen({ transport, path }));
  }

  /** Ends every connection; new ones are taken. */
  cut(): void {
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // it has just ended by itself
      }
    }
    this.#connections.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    this.cut();
    await Promise.all(this.#tasks);
    if (this.endpoint.transport === "unix") {
      await Deno.remove(this.endpoint.path.replace(/\/[^/]*$/, ""), { recursive: true });
    }
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const task = this.#carry(client);
      this.#tasks.add(task);
      task.finally(() => this.#tasks.delete(task));
    }
  }

  async #carry(client: Deno.Conn): Promise<void> {
    this.#connections.add(client);
    const engine = ENGINE.transport === "unix"
      ? await Deno.connect({ transport: "unix", path: ENGINE.path })
      : await Deno.connect({ hostname: ENGINE.hostname, port: ENGINE.port });
    this.#connections.add(engine);
    // A pipe that ends closes its writable side, and a cut makes both fail: either way both are over.
    await Promise.allSettled([client.readable.pipeTo(engine.writable), engine.readable.pipeTo(client.writable)]);
    this.#connections.delete(client);
    this.#connections.delete(engine);
  }
}

export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
/** Nothing listens on port 1. */
const NOWHERE: Endpoint = { transport: "tcp", hostname: "127.0.0.1", port: 1 };

/** The engine, a client under test, and one for an engine that is not there. */
export interface OpenEngine extends AsyncDisposable {
  readonly engine: TestEngine;
  readonly stack: AsyncDisposableStack;
  readonly agentId: AgentId;
  readonly client: EngineClient;
  readonly unreachable: EngineClient;
}

/** Over a transport that is not the engine's own, a proxy carries the client's calls. */
export async function openEngine(transport: "unix" | "tcp"): Promise<OpenEngine> {
  await using undo = new AsyncDisposableStack();
  const engine = undo.use(new TestEngine());
  const endpoint = transport === ENGINE.transport ? ENGINE : undo.use(await EngineProxy.listen(transport)).endpoint;
  const client = undo.use(new EngineClient(endpoint));
  const unreachable = undo.use(new EngineClient(NOWHERE));
  const stack = undo.move();
  const agentId = parseAgentId(engine.agentId("own"));
  return { engine, stack, agentId, client, unreachable, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Debian's `docker-registry` on a free loopback port, asking for a password. */
export class TestRegistry implements AsyncDisposable {
  readonly credentials = { username: "tester", password: "?>~?>~?>~ secret" };

  private constructor(
    readonly name: string,
    private readonly folder: string,
    private readonly process: Deno.ChildProcess,
  ) {}

  static async start(): Promise<TestRegistry> {
    const folder = await Deno.makeTempDir({ prefix: "agent-test-registry-" });
    const name = `127.0.0.1:${freePort()}`;
    // bcrypt of the password above. Its base64 has a "+", which the two base64 alphabets write differently.
    const hash = "$2b$04$G2vsLWiyOd1Wy3ad22pCUeH3WqXBkb2igWNv2BsilwhCL4uhCEdJi";
    await Deno.writeTextFile(`${folder}/htpasswd`, `tester:${hash}\n`);
    const config = {
      version: 0.1,
      log: { level: "error" },
      storage: { filesystem: { rootdirectory: `${folder}/data` } },
      http: { addr: name },
      auth: { htpasswd: { realm: "test", path: `${folder}/htpasswd` } },
    };
    await Deno.writeTextFile(`${folder}/config.yml`, JSON.stringify(config)); // JSON is YAML
    const command = new Deno.Command("docker-registry", {
      args: ["serve", `${folder}/config.yml`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    const registry = new TestRegistry(name, folder, command.spawn());
    await registry.#ready();
    return registry;
  }

  /** Puts an image into the registry as `repository:tag`, and takes the reference off the engine again. */
  async publish(engine: TestEngine, image: ImageId, repository: string): Promise<string> {
    const reference = `${this.name}/${repository}`;
    await engine.call("POST", `/images/${image}/tag?repo=${reference}&tag=1`);
    const auth = Buffer.from(JSON.stringify(this.credentials)).toString("base64url");
    const progress = await engine.call("POST", `/images/${reference}/push?tag=1`, undefined, {
      "x-registry-auth": auth,
    });
    if (progress.includes('"error"')) throw new Error(progress);
    await engine.call("DELETE", `/images/${image}?force=true`);
    return `${reference}:1`;
  }

  /** Loses the content of every layer of a repository, as a damaged disk does. */
  async loseLayers(repository: string): Promise<void> {
    const data = `${this.folder}/data/docker/registry/v2`;
    for await (const { name } of Deno.readDir(`${data}/repositories/${repository}/_layers/sha256`)) {
      const blob = `${data}/blobs/sha256/${name.slice(0, 2)}/${name}`;
      const isLayer = (await Deno.readFile(`${blob}/data`))[0] === 0x1f; // gzip; the configuration is JSON
      if (isLayer) await Deno.remove(blob, { recursive: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.status;
    await Deno.remove(this.folder, { recursive: true });
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + 20_000;
    const [hostname = "", port] = this.name.split(":");
    while (true) {
      try {
        (await Deno.connect({ hostname, port: Number(port) })).close();
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

/** A TCP port that was free just now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Whether a program of that name can be started. */
async function hasProgram(name: string): Promise<boolean> {
  try {
    await new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).output();
    return true;
  } catch {
    return false;
  }
}

import { RunnerPeer } from "./runner_peer.ts";

/** Whether a Docker Engine answers. */
export async function hasEngine(): Promise<boolean> {
  return await docker("version", "--format", "{{.Server.Version}}").then(() => true, () => false);
}

/** Output of the Docker command; rejects with its complaint. */
export async function docker(...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("docker", { args: [...args] }).output();
  if (!success) throw new Error(`docker ${args[0]}: ${new TextDecoder().decode(stderr).trim()}`);
  return new TextDecoder().decode(stdout).trim();
}

/** An image made from a folder; disposal removes it. */
export class TestImage implements AsyncDisposable {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** With the given files, each a copy of one of this machine; none gives an image with nothing in it. */
  static async make(files: Readonly<Record<string, string>>): Promise<TestImage> {
    const name = `runner-test:${crypto.randomUUID()}`;
    const folder = await Deno.makeTempDir({ prefix: "runner_image_" });
    try {
      await Deno.mkdir(`${folder}/root/bin`, { recursive: true });
      for (const [target, source] of Object.entries(files)) await Deno.copyFile(source, `${folder}/root${target}`);
      const what = Object.keys(files).length === 0 ? ["--files-from", "/dev/null"] : ["."];
      const tar = await new Deno.Command("tar", {
        args: ["-C", `${folder}/root`, "-cf", `${folder}/image.tar`, ...what],
      })
        .output();
      if (!tar.success) throw new Error(new TextDecoder().decode(tar.stderr));
      await docker("import", `${folder}/image.tar`, name);
      return new TestImage(name);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await docker("rmi", "--force", this.name);
  }
}

export interface ContainerOptions {
  readonly image: string;
  readonly runnerFolder: string;
  readonly runtime: readonly string[];
  readonly memory?: string;
  readonly environment?: readonly string[];
}

/** A kernel's container as the agent makes it: uid 1000, no capabilities, the runner's folder read-only. */
export class RunnerContainer implements AsyncDisposable {
  readonly id: string;
  readonly peer: RunnerPeer;
  /** When the engine was told to start it, on the clock of `performance.now()`. */
  readonly startedAtMs: number;
  readonly #folder: string;

  private constructor(id: string, peer: RunnerPeer, startedAtMs: number, folder: string) {
    this.id = id;
    this.peer = peer;
    this.startedAtMs = startedAtMs;
    this.#folder = folder;
  }

  static async start(options: ContainerOptions): Promise<RunnerContainer> {
    const { command, target, environ } = JSON.parse(await Deno.readTextFile(`${options.runnerFolder}/manifest.json`));
    const folder = await Deno.makeTempDir({ prefix: "runner_kernel_" });
    for (const name of ["work", "config"]) {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.chown(`${folder}/${name}`, 1000, 1000);
    }
    await Deno.chmod(folder, 0o755);
    await Deno.writeTextFile(`${folder}/config/environ.txt`, (options.environment ?? []).join("\n"));
    const [program, ...args] = command;
    const variables = Object.entries(environ).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
    const id = await docker(
      ...["create", "--init", "--tty", "--interactive", "--user", "1000:1000", "--cap-drop", "ALL"],
      ...["--security-opt", "no-new-privileges", "--memory", options.memory ?? "256m", "--workdir", "/home/work"],
      ...["--stop-signal", "SIGINT", "--publish", "127.0.0.1::2000", "--publish", "127.0.0.1::2001"],
      ...["--volume", `${options.runnerFolder}:${target}:ro`, "--volume", `${folder}/config:/home/config:ro`],
      ...["--volume", `${folder}/work:/home/work`, ...variables, "--entrypoint", program],
      ...[options.image, ...args, ...options.runtime],
    );
    const startedAtMs = performance.now();
    await docker("start", id);
    const [commandPort, messagePort] = await Promise.all([2000, 2001].map(async (port) => {
      const address = await docker("port", id, `${port}/tcp`);
      return Number(address.slice(address.lastIndexOf(":") + 1));
    }));
    if (commandPort === undefined || messagePort === undefined) throw new Error("no ports");
    return new RunnerContainer(id, new RunnerPeer(commandPort, messagePort), startedAtMs, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer[Symbol.asyncDispose]();
    await docker("rm", "--force", "--volumes", this.id);
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A busybox that needs no library, if this machine has one. */
export async function staticBusybox(): Promise<string | undefined> {
  for (const path of ["/bin/busybox", "/usr/bin/busybox"]) {
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  return undefined;
}

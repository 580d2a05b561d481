/** A process that serves: it prints its endpoint when it is ready, and is killed in the end. */
export class ChildServer implements AsyncDisposable {
  private constructor(readonly endpoint: string, private readonly process: Deno.ChildProcess) {}

  static async start(program: string, args: readonly string[]): Promise<ChildServer> {
    const process = new Deno.Command(program, { args: [...args], stdin: "null", stdout: "piped" }).spawn();
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
    }
    await reader.cancel();
    return new ChildServer(text.trim(), process);
  }

  /** Our own server, with a fake agent, in a Deno of its own. */
  static rpc(): Promise<ChildServer> {
    const script = new URL("../fixtures/peers/rpc_server.ts", import.meta.url).pathname;
    const flags = ["--quiet", "--no-check", "--allow-all", "--v8-flags=--expose-gc"];
    return ChildServer.start(Deno.execPath(), ["run", ...flags, script]);
  }

  get pid(): number {
    return this.process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.status;
  }
}

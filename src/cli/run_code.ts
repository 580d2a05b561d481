/** Runs code in a kernel until it has finished, showing output as it comes and answering when the code asks. */
import type { AgentCalls } from "./agent_calls.ts";
import { CommandFailed } from "./failure.ts";
import type { ConsoleItem } from "./replies.ts";

/** Where output goes and answers come from. */
export interface RunTerminal {
  show(item: ConsoleItem): void;
  /** One line, without its end. @throws {CommandFailed} when there is nobody to ask. */
  ask(isPassword: boolean): Promise<string>;
}

type Runs = Pick<AgentCalls, "execute">;

/** The run's exit code. */
export async function runCode(
  agent: Runs,
  run: { readonly kernelId: string; readonly runId: string; readonly code: string },
  terminal: RunTerminal,
): Promise<number> {
  const { kernelId, runId } = run;
  let next: { mode: "query" | "input" | "continue"; code: string } = { mode: "query", code: run.code };
  for (;;) {
    const reply = await agent.execute({ kernelId, runId, ...next });
    for (const item of reply.console) terminal.show(item);
    switch (reply.status) {
      case "finished":
        return reply.exitCode ?? 0;
      case "exec-timeout":
        throw new CommandFailed("the run was ended: it took longer than the kernel allows");
      case "waiting-input":
        next = { mode: "input", code: await terminal.ask(reply.isPassword) };
        break;
      default: // continued, clean-finished, build-finished
        next = { mode: "continue", code: "" };
    }
  }
}

/** The main job in one go, step by step with timings: a Python kernel, then TypeScript in an image with nothing in it. */
import type { AgentCalls } from "./agent_calls.ts";
import { creationConfig, type CreationOptions } from "./creation_config.ts";
import { CommandFailed } from "./failure.ts";
import type { ConsoleItem } from "./replies.ts";
import { runCode, type RunTerminal } from "./run_code.ts";

export interface DemoOptions {
  readonly pythonImage: CreationOptions["image"];
  readonly typescriptImage: CreationOptions["image"];
}

/** What the demonstration needs from outside. */
export interface DemoTools {
  readonly terminal: RunTerminal;
  /** Milliseconds on a clock that never jumps. */
  readonly now: () => number;
  readonly newId: () => string;
  readonly print: (text: string) => void;
}

const MIB = 1n << 20n;

const PYTHON = [
  ["state is kept between runs", "import platform\nnumbers = [n * n for n in range(10)]"],
  [
    "output comes as it is written",
    [
      "import time",
      'print("CPython", platform.python_version(), "on", platform.machine())',
      "for n in numbers[:5]:",
      '    print("square", n, flush=True)',
      "    time.sleep(0.2)",
      "sum(numbers)",
    ].join("\n"),
  ],
] as const;

const TYPESCRIPT = [
  [
    "types and top-level await",
    [
      "interface Point { x: number; y: number }",
      "const points: Point[] = [1, 2, 3].map((x) => ({ x, y: x ** 2 }));",
      "await Promise.resolve();",
      "console.log(`Deno ${Deno.version.deno}, user ${Deno.uid()}`);",
      "points",
    ].join("\n"),
  ],
] as const;

export async function runDemo(agent: AgentCalls, options: DemoOptions, given: DemoTools): Promise<void> {
  const tools = { ...given, terminal: new TidyTerminal(given) };
  await inOneKernel(agent, tools, "Python", options.pythonImage, PYTHON);
  await inOneKernel(agent, tools, "TypeScript", options.typescriptImage, TYPESCRIPT);
}

/**
 * Ends the last line of a run's output where the code did not (the value of a last expression has no line end), and notes
 * errors: an uncaught exception in query mode is no failure of the run (06 §9.1).
 */
class TidyTerminal implements RunTerminal {
  readonly #tools: DemoTools;
  #atLineStart = true;
  sawErrors = false;

  constructor(tools: DemoTools) {
    this.#tools = tools;
  }

  show(item: ConsoleItem): void {
    this.#atLineStart = String(item[1]).endsWith("\n");
    this.sawErrors ||= item[0] === "stderr";
    this.#tools.terminal.show(item);
  }

  ask(isPassword: boolean): Promise<string> {
    return this.#tools.terminal.ask(isPassword);
  }

  endLine(): void {
    if (!this.#atLineStart) this.#tools.print("\n");
    this.#atLineStart = true;
  }
}

type TidyTools = DemoTools & { readonly terminal: TidyTerminal };

async function inOneKernel(
  agent: AgentCalls,
  tools: TidyTools,
  language: string,
  image: CreationOptions["image"],
  runs: readonly (readonly [title: string, code: string])[],
): Promise<void> {
  const kernelId = tools.newId();
  const { name, tag } = image.ref;
  await timed(tools, `create a ${language} kernel from ${name}:${tag}`, () => agent.create(kernelId, config(image)));
  try {
    for (const [title, code] of runs) {
      await timed(tools, `run ${language}: ${title}`, async () => {
        const exitCode = await runCode(agent, { kernelId, runId: tools.newId(), code }, tools.terminal);
        if (exitCode !== 0 || tools.terminal.sawErrors) throw new CommandFailed(`the ${language} code failed`);
      });
    }
  } finally {
    await timed(tools, `destroy the ${language} kernel`, () => agent.destroy(kernelId, "user-requested"));
  }
}

function config(image: CreationOptions["image"]): Record<string, unknown> {
  return creationConfig({
    image,
    cpu: "1",
    memBytes: 256n * MIB,
    shmemBytes: 16n * MIB,
    idleTimeoutS: 600,
    environ: {},
  });
}

async function timed<T>(tools: TidyTools, what: string, step: () => Promise<T>): Promise<T> {
  tools.print(`--> ${what}\n`);
  const startedAt = tools.now();
  const result = await step();
  tools.terminal.endLine();
  tools.print(`    ${Math.round(tools.now() - startedAt)} ms\n`);
  return result;
}

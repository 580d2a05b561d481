/** The commands, their options and their help. What a command does is in `commands.ts`. */
import { Command, Option } from "commander";
import type { Commands } from "./commands.ts";
import {
  amountOption,
  assignmentOption,
  endpointOption,
  kernelIdOption,
  secondsOption,
  sizeOption,
} from "./options.ts";

const EXIT_CODES = `
Exit codes: 0 done; 1 the agent, the engine or the kernel said no; 2 wrong usage; 3 nobody answered in time;
"run" ends with the exit code of the code that it ran.`;

const EXAMPLES = `
Examples:
  id=$(deno task cli create --image lablup/python:3.6-ubuntu18.04)
  deno task cli run $id 'print("hello")'
  deno task cli run $id --file program.py
  deno task cli destroy $id`;

export function buildProgram(commands: Commands): Command {
  const program = new Command("backendai-cli")
    .description("Talks to one Backend.AI agent directly, as a manager would: for operators, development and tests.")
    .addOption(
      new Option("-a, --agent <address>", "the agent's RPC address")
        .argParser(endpointOption).env("BACKENDAI_AGENT").default("tcp://127.0.0.1:6001"),
    )
    .showHelpAfterError("(add --help for the options)")
    .addHelpText("after", `${EXIT_CODES}\n${EXAMPLES}`);

  program.command("ping")
    .description("ask whether the agent answers, and how fast")
    .option("--wait <seconds>", "keep asking for this long until it does", secondsOption, 0)
    .action((options) => commands.ping(options));

  program.command("create")
    .description("create a kernel and print its id")
    .requiredOption("--image <name>", "image on this host's Docker Engine")
    .option("--cpu <cores>", "cores", amountOption, "1")
    .option("--mem <size>", "memory, shared memory included", sizeOption, 256n << 20n)
    .option("--shmem <size>", "shared memory", sizeOption, 16n << 20n)
    .option("--idle-timeout <seconds>", "end the kernel when unused for this long; 0: never", secondsOption, 0)
    .option("--env <name=value>", "environment variable; may be repeated", assignmentOption, {})
    .option("--label <name=value>", "image label to add or replace; may be repeated", assignmentOption, {})
    .option("--id <uuid>", "kernel id, instead of a random one", kernelIdOption)
    .action((options) => commands.create(options));

  program.command("run")
    .description("run code in a kernel, show its output as it comes, answer it when it waits for input")
    .argument("<kernel>", "kernel id", kernelIdOption)
    .argument("[code]", "the code; - or nothing: read it from standard input")
    .option("--file <path>", "read the code from a file")
    .addHelpText("after", "\nCtrl-C interrupts the code; a second Ctrl-C leaves. Ends with the exit code of the code.")
    .action((kernel, code, options) => commands.run(kernel, { code, ...options }));

  program.command("logs")
    .description("print the end of what the kernel's container wrote")
    .argument("<kernel>", "kernel id", kernelIdOption)
    .action((kernel) => commands.logs(kernel));

  program.command("interrupt")
    .description("interrupt the code that a kernel runs now")
    .argument("<kernel>", "kernel id", kernelIdOption)
    .action((kernel) => commands.interrupt(kernel));

  program.command("destroy")
    .description("end a kernel and print its last statistics")
    .argument("<kernel>", "kernel id", kernelIdOption)
    .option("--reason <text>", "reason that the agent records", "user-requested")
    .action((kernel, options) => commands.destroy(kernel, options));

  program.command("demo")
    .description("run Python and TypeScript in fresh kernels, step by step with timings")
    .requiredOption("--python-image <name>", "image with a Python interpreter")
    .requiredOption("--typescript-image <name>", "any image, also one with nothing in it")
    .action((options) => commands.demo(options));

  return program;
}

import { InvalidField } from "../../domain/errors.ts";
import { RUNNER_FOLDER } from "./environment.ts";

/** What the command line says. Everything but the runtime has the container's values as defaults. */
export interface RunnerOptions {
  readonly runtimeType: string;
  readonly runtimePath: string | undefined;
  /** Address the sockets are bound to; `*` is every one. */
  readonly host: string;
  readonly commandPort: number;
  readonly messagePort: number;
  /** Folder of `environ.txt`. */
  readonly configFolder: string;
  /** Working and home folder of user code. */
  readonly workFolder: string;
  /** Folder of this program's own files. */
  readonly runnerFolder: string;
  /** Go through the start once and end: fills the code cache at build time. */
  readonly rehearse: boolean;
}

/** `[--key value]… <runtime type> [<runtime path>]` (07 §1). */
export function parseOptions(argv: readonly string[]): RunnerOptions {
  const words: string[] = [];
  const flags = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (!word.startsWith("--")) words.push(word);
    else flags.set(word.slice(2), word === "--rehearse" ? "yes" : argv[++i] ?? "");
  }
  const [runtimeType, runtimePath] = words;
  if (runtimeType === undefined) throw new InvalidField("runtime type", "one on the command line", undefined);
  return {
    runtimeType,
    runtimePath: runtimePath || undefined,
    host: flags.get("host") ?? "*",
    commandPort: port(flags, "command-port", 2000),
    messagePort: port(flags, "message-port", 2001),
    configFolder: flags.get("config") ?? "/home/config",
    workFolder: flags.get("work") ?? "/home/work",
    runnerFolder: flags.get("runner") ?? RUNNER_FOLDER,
    rehearse: flags.has("rehearse"),
  };
}

function port(flags: ReadonlyMap<string, string>, name: string, otherwise: number): number {
  const text = flags.get(name);
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65535) throw new InvalidField(name, "a TCP port", text);
  return value;
}

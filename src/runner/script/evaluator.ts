import { Session } from "node:inspector";
import { stripTypeScriptTypes } from "node:module";
import { moduleToScript } from "./module_syntax.ts";

export interface EvaluatorOptions {
  /** Whether types are taken out first. */
  readonly typescript: boolean;
  /** URL of the folder that relative imports start from. */
  readonly base: string;
  readonly writeOutput: (text: string) => void;
  readonly writeError: (text: string) => void;
}

/** The parts of the inspector's `Runtime.RemoteObject` and of an evaluation's result that are used here. */
interface RemoteObject {
  readonly type: string;
  readonly value?: unknown;
  readonly unserializableValue?: string;
  readonly objectId?: string;
}
interface Evaluated {
  readonly result: RemoteObject;
  readonly exceptionDetails?: {
    readonly lineNumber: number;
    readonly columnNumber: number;
    readonly exception?: RemoteObject;
  };
}

/** What a query shows at its end: the value of its last expression, or the error that ended it. */
interface Outcome {
  readonly value?: string;
  readonly error?: string;
}

/** The inspector's name for the values that one query's end keeps alive. */
const OBJECTS = "query";

/** Runs queries in this process's global scope, as Deno's REPL does, and shows results and errors as it does. */
export class Evaluator {
  readonly #options: EvaluatorOptions;
  readonly #session = new Session();
  readonly #inspect = Deno.inspect;
  /** The inspector's handle of {@linkcode #shower}, through which it hands values over. */
  #showerId = "";
  #shown = "";
  #isSyntaxError = false;
  /** While a query runs: ends the wait for it. */
  #interrupt: (() => void) | undefined;

  constructor(options: EvaluatorOptions) {
    this.#options = options;
    this.#session.connect();
    globalThis.addEventListener("unhandledrejection", (event) => {
      if (event.defaultPrevented) return;
      event.preventDefault(); // else the process would end
      this.#options.writeError(`Uncaught (in promise) ${this.#text(event.reason)}\n`);
    });
    globalThis.addEventListener("error", (event) => {
      if (event.defaultPrevented) return;
      event.preventDefault();
      this.#options.writeError(`Uncaught ${this.#text(event.error)}\n`);
    });
  }

  /** Does now what a first query would otherwise wait for. */
  async warmUp(): Promise<void> {
    const name = `shower${crypto.randomUUID()}`;
    Object.defineProperty(globalThis, name, { value: this.#shower, configurable: true });
    const { result } = await this.#post("Runtime.evaluate", { expression: `globalThis[${JSON.stringify(name)}]` });
    Reflect.deleteProperty(globalThis, name);
    this.#showerId = result.objectId ?? "";
    await this.run("void 0");
  }

  /** Runs one query to its end; never rejects. An interrupt ends the wait, not what the query has started. */
  async run(code: string): Promise<void> {
    const interrupted = new Promise<Outcome>((resolve) => {
      this.#interrupt = () => resolve({ error: "Interrupted" });
    });
    try {
      const { value, error } = await Promise.race([this.#evaluate(code), interrupted]);
      if (value !== undefined) this.#options.writeOutput(value);
      if (error !== undefined) this.#options.writeError(`Uncaught ${error}\n`);
    } catch (err) {
      this.#options.writeError(`Uncaught ${this.#text(err)}\n`);
    } finally {
      this.#interrupt = undefined;
      this.#session.post("Runtime.releaseObjectGroup", { objectGroup: OBJECTS });
    }
  }

  /** Ends the run that is waiting for something. A busy one does not get here: the runner ends the process then. */
  interrupt(): void {
    this.#interrupt?.();
  }

  async #evaluate(code: string): Promise<Outcome> {
    let script: string;
    try {
      script = moduleToScript(this.#options.typescript ? withoutTypes(code) : code, this.#options.base);
    } catch (err) {
      return { error: `SyntaxError: ${syntaxErrorText(err)}` };
    }
    const { result, exceptionDetails } = await this.#post("Runtime.evaluate", {
      expression: asExpression(script),
      replMode: true,
      awaitPromise: true,
      objectGroup: OBJECTS,
    });
    if (exceptionDetails !== undefined) return { error: await this.#exceptionText(exceptionDetails) };
    return result.type === "undefined" ? {} : { value: await this.#show(result) };
  }

  async #exceptionText(details: NonNullable<Evaluated["exceptionDetails"]>): Promise<string> {
    const text = details.exception === undefined ? "Error" : await this.#show(details.exception);
    // A syntax error of V8 has no frame of its own: only the details know where it is.
    if (!this.#isSyntaxError || /^\s+at /m.test(text)) return text;
    return `${text}\n    at <anonymous>:${details.lineNumber + 1}:${details.columnNumber + 1}`;
  }

  /** The text of a value that the inspector holds. */
  async #show(remote: RemoteObject): Promise<string> {
    const argument = remote.objectId !== undefined
      ? { objectId: remote.objectId }
      : remote.unserializableValue !== undefined
      ? { unserializableValue: remote.unserializableValue }
      : { value: remote.value };
    await this.#post("Runtime.callFunctionOn", {
      objectId: this.#showerId,
      functionDeclaration: "function (value) { this.show(value); }",
      arguments: [argument],
    });
    const text = this.#shown;
    this.#shown = "";
    return text;
  }

  readonly #shower = {
    show: (value: unknown): void => {
      this.#isSyntaxError = value instanceof SyntaxError;
      this.#shown = this.#text(value);
    },
  };

  #text(value: unknown): string {
    try {
      return withoutOwnFrames(this.#inspect(value));
    } catch {
      return Object.prototype.toString.call(value); // a getter or a proxy of the user's threw
    }
  }

  #post(method: string, params: Record<string, unknown>): Promise<Evaluated> {
    return new Promise((resolve, reject) => {
      // The answer is V8's own, not a peer's: its form is given by the protocol of the V8 that runs this.
      this.#session.post(method, params, (err: Error | null, answer?: object) => {
        if (err) reject(err);
        else resolve(answer as Evaluated);
      });
    });
  }
}

/** Types become blanks, so that positions stay; enums and the like need a rewrite, and lose them. */
function withoutTypes(code: string): string {
  try {
    return stripTypeScriptTypes(code, { mode: "strip" });
  } catch {
    // The declarations know one mode only; Deno has both.
    return stripTypeScriptTypes(code, { mode: "transform" as "strip" });
  }
}

/** The compiler's message, with the name it made up for the source taken out. */
function syntaxErrorText(err: unknown): string {
  const text = err instanceof Error ? err.message : String(err);
  return text.replace(/^SyntaxError:\s*/, "").replaceAll(/(?:file:\/\/\/)?stripTypeScriptTypes\.ts/g, "<anonymous>");
}

/** `{ a: 1 }` alone is meant as an object, as in Deno's REPL. */
function asExpression(code: string): string {
  if (!/^\s*\{/.test(code) || /;\s*$/.test(code)) return code;
  try {
    new Function(`(async () => (${code}\n))`); // only parsed
    return `(${code}\n)`;
  } catch {
    return code;
  }
}

/** Leaves out the frames below the query's own code, which are this driver's. */
export function withoutOwnFrames(text: string): string {
  const kept: string[] = [];
  let frames: string | undefined; // what a line of the part to leave out starts with
  for (const line of text.split("\n")) {
    frames ??= /^(\s*)(?:at Session\.post \(ext:deno_node\/inspector\.js|\.\.\. \d+ lines matching cause)/.exec(line)
      ?.[1];
    if (frames !== undefined && /^(?:at |\.\.\. )/.test(line.slice(frames.length)) && line.startsWith(frames)) {
      // The properties of an error are opened at the end of its last frame.
      if (line.endsWith(" {")) kept.push(`${kept.pop() ?? ""} {`);
      continue;
    }
    frames = undefined;
    kept.push(line);
  }
  return kept.join("\n");
}

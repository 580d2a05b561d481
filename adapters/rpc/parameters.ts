/** Binding of request arguments to a method's parameters, by Python's rules and with its words. Source: 01 §4, §5. */
import type { Call } from "./codec.ts";
import { isMap } from "./codec.ts";
import { ParametersError, pythonRepr } from "./error_reply.ts";

/** `any` passes as it is; the method checks it. */
export type ParameterType = "str" | "dict" | "bytes" | "bool" | "any";

export interface Parameter {
  readonly name: string;
  readonly type: ParameterType;
  /** An optional parameter that is missing or null is undefined. */
  readonly optional?: boolean;
}

/** The value of each parameter in its order. @throws {ParametersError} */
export function bindParameters(parameters: readonly Parameter[], { args, kwargs }: Call): readonly unknown[] {
  if (args.length > parameters.length) throw typeError("too many positional arguments");
  for (const name of Object.keys(kwargs)) {
    const index = parameters.findIndex((parameter) => parameter.name === name);
    if (index < 0) throw typeError(`got an unexpected keyword argument '${name}'`);
    if (index < args.length) throw typeError(`multiple values for argument '${name}'`);
  }
  return parameters.map((parameter, index) => {
    const { name, optional } = parameter;
    const given = index < args.length || Object.hasOwn(kwargs, name);
    if (!given && !optional) throw typeError(`missing a required argument: '${name}'`);
    const value = index < args.length ? args[index] : kwargs[name];
    return optional && (value === undefined || value === null) ? undefined : convert(parameter, value);
  });
}

function convert({ name, type: wanted }: Parameter, value: unknown): unknown {
  switch (wanted) {
    case "str":
      if (typeof value === "string") return value;
      if (typeof value === "number" || typeof value === "bigint") return String(value); // paths from users' JSON
      break;
    case "dict":
      if (isMap(value)) return value;
      break;
    case "bytes":
      if (value instanceof Uint8Array) return value; // nothing else: 01-D9
      break;
    case "bool":
      if (typeof value === "boolean") return value;
      break;
    case "any":
      return value;
    default:
      wanted satisfies never;
  }
  const reason = `TypeError(${pythonRepr(`expected ${wanted}, got ${pythonType(value)}`)})`;
  throw new ParametersError(`Invalid value for argument '${name}': ${reason}`);
}

function typeError(message: string): ParametersError {
  return new ParametersError(`TypeError(${pythonRepr(message)})`);
}

function pythonType(value: unknown): string {
  if (value === null || value === undefined) return "NoneType";
  if (Array.isArray(value)) return "list";
  if (value instanceof Uint8Array) return "bytes";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float";
  const names: Readonly<Record<string, string>> = { string: "str", boolean: "bool", bigint: "int" };
  return names[typeof value] ?? (isMap(value) ? "dict" : "ExtType");
}

/** Reading option values of the command line. Pure. */
import { InvalidArgumentError } from "commander";
import { parseKernelId } from "../../domain/ids.ts";
import { AgentError } from "../../domain/errors.ts";
import { parseBinarySize } from "../../domain/resource/binary_size.ts";

/** Turns what a parser of the domain says into a usage error. */
function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof AgentError) throw new InvalidArgumentError(`${error.message}.`);
      throw error;
    }
  };
}

export const kernelIdOption = checked(parseKernelId);
export const sizeOption = checked((text) => parseBinarySize(text, "size"));

export function endpointOption(text: string): string {
  if (/^tcp:\/\/(\[[^\]]+\]|[^:/\s]+):\d{1,5}$/.test(text)) return text;
  throw new InvalidArgumentError("Expected tcp://HOST:PORT.");
}

export function secondsOption(text: string): number {
  if (/^\d{1,6}(\.\d+)?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a number of seconds.");
}

export function amountOption(text: string): string {
  if (/^\d{1,6}(\.\d{1,6})?$/.test(text)) return text;
  throw new InvalidArgumentError("Expected a number of cores.");
}

/** `NAME=VALUE`, may be given several times. */
export function assignmentOption(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const [, name, value] = /^([^=\s]+)=([^]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("Expected NAME=VALUE.");
  return { ...before, [name]: value };
}

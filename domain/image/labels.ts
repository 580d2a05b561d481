/** What an image says about itself. Source: 04 §6.2. */
import { InvalidField } from "../errors.ts";

export interface ImageTraits {
  readonly kernelSpecVersion: number;
  /** Any of `uid-match`, `user-input`, `batch`, `query`, `tty`; others pass. */
  readonly features: ReadonlySet<string>;
  /** Environment variables that receive the number of allocated cores. */
  readonly corecountVariables: readonly string[];
  /** The language, first argument of the runner. */
  readonly runtimeType: string;
  /** Path of the language's program in the image, second argument of the runner. */
  readonly runtimePath: string | undefined;
  readonly baseDistro: string;
}

/** Marks an image as able to run kernels. */
export const KERNEL_SPEC_LABEL = "ai.backend.kernelspec";
/** Its value is read by `parseServicePorts`. */
export const SERVICE_PORTS_LABEL = "ai.backend.service-ports";

/**
 * An empty value counts as absent.
 * @throws {InvalidField} if the kernel spec version is not a whole number, the language could be taken for an option of
 * the runner, or a variable cannot be set.
 */
export function imageTraits(labels: ReadonlyMap<string, string>): ImageTraits {
  const read = (name: string) => labels.get(`ai.backend.${name}`)?.trim() || undefined;
  return {
    kernelSpecVersion: parseVersion(read("kernelspec") ?? "1"),
    features: new Set(words(read("features"), /\s+/)),
    corecountVariables: words(read("envs.corecount"), ",").map(checkVariable),
    runtimeType: checkRuntimeType(read("runtime-type") ?? "python"),
    runtimePath: read("runtime-path"),
    baseDistro: read("base-distro") ?? "ubuntu16.04",
  };
}

function parseVersion(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidField(KERNEL_SPEC_LABEL, "a whole number", text);
  return Number(text);
}

function checkRuntimeType(text: string): string {
  if (!text.startsWith("-")) return text;
  throw new InvalidField("ai.backend.runtime-type", "the name of a language", text);
}

function checkVariable(name: string): string {
  if (/^[^=\0\r\n]+$/.test(name)) return name;
  throw new InvalidField("ai.backend.envs.corecount", "names of variables", name);
}

function words(text: string | undefined, separator: string | RegExp): string[] {
  return (text ?? "").split(separator).map((word) => word.trim()).filter((word) => word !== "");
}

/** What one container has used, from the files of its control groups, version 1 or 2. Source: 04 §15, 03-D12. */
import type { ContainerId } from "../../domain/ids.ts";

/** Counters of one control group since its start. */
export interface CgroupUsage {
  readonly cpuNs: bigint;
  readonly memoryBytes: bigint;
  readonly ioReadBytes: bigint;
  readonly ioWriteBytes: bigint;
}

/** How a container's group is named below a hierarchy: by Docker's own driver and by systemd's. */
const TEMPLATES = ["docker/{id}", "system.slice/docker-{id}.scope"];
/** Where the engine was told to put groups elsewhere, they are looked for, but neither deep nor often. */
const SEARCH_DEPTH = 5;
const SEARCH_LIMIT = 4_000;
const SEARCH_PAUSE_MS = 60_000;

/** Reads the hierarchies mounted at one place. Reading one container takes about 50 µs. */
export class Cgroups {
  readonly #root: string;
  readonly #version: 1 | 2;
  readonly #templates = [...TEMPLATES];
  #nextSearchMs = 0;

  /** @param root where the hierarchies are mounted, usually `/sys/fs/cgroup` */
  constructor(root: string) {
    this.#root = root;
    this.#version = exists(`${root}/cgroup.controllers`) ? 2 : 1;
  }

  /** undefined if there is no such group, or any counter of it is missing. */
  read(id: ContainerId, nowMs: number): CgroupUsage | undefined {
    for (const template of this.#templates) {
      const usage = this.#readAt(template.replace("{id}", id));
      if (usage !== undefined) return usage;
    }
    const template = this.#search(id, nowMs);
    if (template === undefined) return undefined;
    this.#templates.push(template);
    return this.#readAt(template.replace("{id}", id));
  }

  #readAt(group: string): CgroupUsage | undefined {
    const file = (path: string) => readText(`${this.#root}/${path}`);
    if (this.#version === 2) {
      return parseV2(file(`${group}/cpu.stat`), file(`${group}/memory.current`), file(`${group}/io.stat`));
    }
    return parseV1(
      file(`cpuacct/${group}/cpuacct.usage`),
      file(`memory/${group}/memory.usage_in_bytes`),
      file(`blkio/${group}/blkio.throttle.io_service_bytes`),
    );
  }

  /** The template under which an unusual engine keeps this container. */
  #search(id: ContainerId, nowMs: number): string | undefined {
    if (nowMs < this.#nextSearchMs) return undefined;
    this.#nextSearchMs = nowMs + SEARCH_PAUSE_MS;
    const base = this.#version === 2 ? this.#root : `${this.#root}/memory`;
    let level = [""];
    let seen = 0;
    for (let depth = 0; depth < SEARCH_DEPTH; depth++) {
      const next: string[] = [];
      for (const parent of level) {
        for (const name of folderNames(`${base}${parent}`)) {
          if (name.includes(id)) return `${parent}/${name.replace(id, "{id}")}`.slice(1);
          if (++seen > SEARCH_LIMIT) return undefined;
          next.push(`${parent}/${name}`);
        }
      }
      level = next;
    }
    return undefined;
  }
}

/** From the texts of `cpuacct.usage`, `memory.usage_in_bytes` and `blkio.throttle.io_service_bytes`. */
export function parseV1(
  cpu: string | undefined,
  memory: string | undefined,
  io: string | undefined,
): CgroupUsage | undefined {
  const cpuNs = wholeNumber(cpu);
  const memoryBytes = wholeNumber(memory);
  if (cpuNs === undefined || memoryBytes === undefined || io === undefined) return undefined;
  return { cpuNs, memoryBytes, ioReadBytes: sumOf(io, / Read (\d+)$/gm), ioWriteBytes: sumOf(io, / Write (\d+)$/gm) };
}

/** From the texts of `cpu.stat`, `memory.current` and `io.stat`. */
export function parseV2(
  cpu: string | undefined,
  memory: string | undefined,
  io: string | undefined,
): CgroupUsage | undefined {
  const cpuUs = /^usage_usec (\d+)$/m.exec(cpu ?? "")?.[1];
  const memoryBytes = wholeNumber(memory);
  if (cpuUs === undefined || memoryBytes === undefined || io === undefined) return undefined;
  const cpuNs = BigInt(cpuUs) * 1000n;
  return { cpuNs, memoryBytes, ioReadBytes: sumOf(io, / rbytes=(\d+)/g), ioWriteBytes: sumOf(io, / wbytes=(\d+)/g) };
}

function wholeNumber(text: string | undefined): bigint | undefined {
  const digits = /^(\d+)\n?$/.exec(text ?? "")?.[1];
  return digits === undefined ? undefined : BigInt(digits);
}

/** A group that never touched a device has no line, which is nothing read and nothing written. */
function sumOf(text: string, pattern: RegExp): bigint {
  let sum = 0n;
  for (const [, digits = "0"] of text.matchAll(pattern)) sum += BigInt(digits);
  return sum;
}

/** Synchronous: the kernel makes these texts in microseconds, and a thread hop would cost ten times that. */
function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // the container has ended, or the controller is off
  }
}

function exists(path: string): boolean {
  return readText(path) !== undefined;
}

function folderNames(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
  } catch {
    return []; // ended meanwhile
  }
}

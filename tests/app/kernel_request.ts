import type { FakeImage } from "../../adapters/fake/image_store.ts";
import { type KernelId, parseImageId, parseKernelId } from "../../domain/ids.ts";
import type { KernelRequest } from "../../domain/kernel/kernel_request.ts";
import { COUNT } from "../../domain/resource/slots.ts";

export const GIB = 1024n ** 3n;
export const MIB = 1024n ** 2n;

export function kernelId(n: number): KernelId {
  return parseKernelId(n.toString(16).padStart(32, "0"));
}

/** The kernel of most tests. */
export const KERNEL = kernelId(1);
/** A signal that is never aborted. */
export const never = new AbortController().signal;

export const PYTHON: FakeImage = {
  id: parseImageId(`sha256:${"ab".repeat(32)}`),
  tags: ["lablup/python:3.6-ubuntu18.04"],
  labels: new Map([
    ["ai.backend.kernelspec", "1"],
    ["ai.backend.features", "batch query uid-match user-input"],
    ["ai.backend.envs.corecount", "OMP_NUM_THREADS, OPENBLAS_NUM_THREADS"],
    ["ai.backend.runtime-type", "python"],
    ["ai.backend.runtime-path", "/usr/bin/python3"],
    ["ai.backend.service-ports", "jupyter:http:8080,cluster:tcp:[4000,4001]"],
  ]),
  files: new Map([["/etc/passwd", "root:x:0:0::/root:/bin/sh\n"], ["/etc/group", "root:x:0:\n"]]),
};

/** How the manager names it. */
export const PYTHON_NAME = "index.docker.io/lablup/python:3.6-ubuntu18.04";

/** Runner's two, sshd, ttyd, and three of {@linkcode PYTHON}'s own. */
export const PORTS_OF_KERNEL = 7;

export function kernelRequest(changes: Partial<KernelRequest> = {}): KernelRequest {
  return {
    kernelId: KERNEL,
    image: {
      ref: { registry: "index.docker.io", name: "lablup/python", tag: "3.6-ubuntu18.04" },
      digest: PYTHON.id,
      labels: PYTHON.labels,
    },
    sessionType: "interactive",
    slots: new Map([["cpu", 2n * COUNT], ["mem", GIB]]),
    shmemBytes: 64n * MIB,
    idleTimeoutS: 600,
    mounts: [
      { name: "data", host: "local", id: "0123456789abcdef0123456789abcdef", permission: "rw" },
      { name: ".logs", host: "local", id: "fedcba9876543210fedcba9876543210", permission: "ro" },
    ],
    environ: new Map([["GREETING", "hello"]]),
    startupCommand: undefined,
    blockServicePorts: false,
    preventFolderMounts: false,
    ...changes,
  };
}

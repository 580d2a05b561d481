/** The `config` argument of `create_kernel`, as a manager would send it. Pure. Source: 04 §2. */
import { canonicalName, type ImageRef } from "../../domain/image/image_ref.ts";
import type { ImageId } from "../../domain/ids.ts";

export interface CreationOptions {
  readonly image: { readonly ref: ImageRef; readonly id: ImageId; readonly labels: Readonly<Record<string, string>> };
  /** Cores, as decimal text. */
  readonly cpu: string;
  /** Shared memory included. */
  readonly memBytes: bigint;
  readonly shmemBytes: bigint;
  /** Seconds without use after which the kernel ends; 0 = never. */
  readonly idleTimeoutS: number;
  readonly environ: Readonly<Record<string, string>>;
}

export function creationConfig(options: CreationOptions): Record<string, unknown> {
  const { ref, id, labels } = options.image;
  return {
    image: {
      registry: { name: ref.registry, url: "" },
      digest: id,
      repo_digest: null,
      canonical: canonicalName(ref),
      labels,
    },
    session_type: "interactive",
    resource_slots: { cpu: options.cpu, mem: String(options.memBytes) },
    resource_opts: { shmem: Number(options.shmemBytes) },
    idle_timeout: options.idleTimeoutS,
    mounts: [],
    environ: options.environ,
    startup_command: null,
    internal_data: null,
  };
}

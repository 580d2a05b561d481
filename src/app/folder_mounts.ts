import type { KernelRequest } from "../../domain/kernel/kernel_request.ts";
import type { Mount } from "../ports/container_runtime.ts";

/** The only folder that is mounted when the manager wants none (04 §2.1). */
const LOGS_FOLDER = ".logs";

/** Mounts of the virtual folders of a kernel. Source: 04 §7.4. */
export function folderMounts(
  request: Pick<KernelRequest, "mounts" | "preventFolderMounts">,
  folders: { readonly base: string; readonly prefix: string },
): readonly Mount[] {
  return request.mounts
    .filter(({ name }) => !request.preventFolderMounts || name === LOGS_FOLDER)
    .map(({ name, host, id, permission }) => ({
      source: [folders.base, host, folders.prefix, id].filter((part) => part !== "").join("/"),
      target: `/home/work/${name}`,
      readOnly: permission === "ro",
    }));
}

/** `source:target:permission`, as `resource.txt` and the creation reply have it (04 §5.4). */
export function mountText({ source, target, readOnly }: Mount): string {
  return `${source}:${target}:${readOnly ? "ro" : "rw"}`;
}

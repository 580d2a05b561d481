/**
 * `/etc/passwd` and `/etc/group` for a kernel's container: what the image has, with the kernel's user and group named
 * `work` in front, so that the first entry of that id is ours whatever the image calls it. Source: 08 §4.
 */

export interface KernelUser {
  readonly uid: number;
  readonly gid: number;
}

/** @param image the image's own file; undefined if it has none */
export function passwdFile(image: string | undefined, user: KernelUser): string {
  return `work:x:${user.uid}:${user.gid}::/home/work:/bin/sh\n${image ?? "root:x:0:0:root:/root:/bin/sh\n"}`;
}

/** @param image the image's own file; undefined if it has none */
export function groupFile(image: string | undefined, user: KernelUser): string {
  return `work:x:${user.gid}:\n${image ?? "root:x:0:\n"}`;
}

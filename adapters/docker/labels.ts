/** On every container and network of an agent: its agent id. How an agent tells its own from everybody else's. */
export const AGENT_LABEL = "ai.backend.internal.agent-id";
/** On every kernel container: the kernel id. Source: 04 §9. */
export const KERNEL_LABEL = "ai.backend.kernel-id";
/** On containers made only to read a file of an image: the agent id. They never start and are never a kernel. */
export const READER_LABEL = "ai.backend.internal.image-reader";
/** On the same containers: which object made them. */
export const READER_RUN_LABEL = "ai.backend.internal.image-reader-run";
/** On images that can run kernels. Source: 04 §6.2. */
export const KERNEL_IMAGE_LABEL = "ai.backend.kernelspec";

/** The `filters` parameter of the engine's list and event calls. */
export function filters(terms: Readonly<Record<string, readonly string[]>>): { readonly filters: string } {
  return { filters: JSON.stringify(terms) };
}

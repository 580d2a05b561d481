/** What use cases return, as the manager reads it. Source: 01 §11, 04 §5.5. */
import type { RunReport } from "../../domain/kernel/run_queue.ts";
import { formatBinarySize } from "../../domain/resource/binary_size.ts";
import { type Allocation, deviceName } from "../../domain/resource/ledger.ts";
import { formatAmount, type Slots, slotUnit } from "../../domain/resource/slots.ts";
import type { KernelMetrics } from "../../domain/stats/metrics.ts";
import type { CreatedKernel } from "../../src/app/agent_service.ts";

/** Version of the statistics format in the reply of `destroy_kernel` (03 §10.4). */
const STATISTICS_VERSION = 2;

/** Source: 01 §11.3. */
export function creationReply(kernel: CreatedKernel): Readonly<Record<string, unknown>> {
  return {
    id: kernel.kernelId,
    kernel_host: kernel.kernelHost,
    repl_in_port: kernel.replInPort,
    repl_out_port: kernel.replOutPort,
    stdin_port: 0,
    stdout_port: 0,
    service_ports: kernel.services.map(({ name, protocol, containerPorts, hostPorts }) => ({
      name,
      protocol,
      container_ports: containerPorts,
      host_ports: hostPorts,
    })),
    container_id: kernel.containerId,
    resource_spec: {
      container_id: kernel.containerId,
      slots: slotTexts(kernel.slots), // a map: 01-D13
      allocations: allocationTexts(kernel.allocation),
      scratch_disk_size: 0,
      mounts: kernel.mounts,
      idle_timeout: kernel.idleTimeoutS,
    },
    attached_devices: attachedDevices(kernel.allocation),
  };
}

/** Source: 01 §11.9; the order of the keys is that of the original. */
export function runReply({ runId, status, exitCode, options, output }: RunReport): Readonly<Record<string, unknown>> {
  return { runId, status, exitCode, options: wellFormed(options), ...wellFormedOutput(output), files: [] };
}

/** Source: 01 §11.4. */
export function destroyReply(metrics: KernelMetrics | null): Readonly<Record<string, unknown>> | null {
  return metrics === null ? null : { ...metrics, version: STATISTICS_VERSION };
}

function slotTexts(slots: Slots): Readonly<Record<string, string>> {
  return Object.fromEntries([...slots].map(([slot, amount]) => [slot, formatAmount(amount, slotUnit(slot))]));
}

/** Device name, slot, device id: amount; bytes in short form. */
function allocationTexts(allocation: Allocation): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  const devices: Record<string, Record<string, unknown>> = {};
  for (const [slot, shares] of allocation) {
    const text = (amount: bigint) =>
      slotUnit(slot) === "bytes" ? formatBinarySize(amount) : formatAmount(amount, "count");
    const ids = Object.fromEntries([...shares].map(([id, amount]) => [id, text(amount)]));
    devices[deviceName(slot)] = { ...devices[deviceName(slot)], [slot]: ids };
  }
  return devices;
}

function attachedDevices(allocation: Allocation): Readonly<Record<string, readonly unknown[]>> {
  const attached: Record<string, { device_id: string; model_name: string }[]> = {};
  for (const [slot, shares] of allocation) {
    const devices = attached[deviceName(slot)] ??= [];
    for (const id of shares.keys()) devices.push({ device_id: id, model_name: "" });
  }
  return attached;
}

/** Media come from JSON, which can hold half characters that UTF-8 cannot. Text was decoded from UTF-8 already. */
function wellFormedOutput(output: RunReport["output"]): Readonly<Record<string, unknown>> {
  if ("console" in output) {
    return { console: output.console.map((item) => item[0] === "media" ? wellFormed(item) : item) };
  }
  return { ...output, media: wellFormed(output.media) };
}

function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key.toWellFormed(), wellFormed(child)]));
}

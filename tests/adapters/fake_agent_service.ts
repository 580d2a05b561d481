import { KernelNotFound } from "../../domain/errors.ts";
import { type KernelId, parseContainerId, parseRunId } from "../../domain/ids.ts";
import type { KernelRequest } from "../../domain/kernel/kernel_request.ts";
import type { RunReport } from "../../domain/kernel/run_queue.ts";
import type { KernelMetrics } from "../../domain/stats/metrics.ts";
import type { AgentService, CreatedKernel, ExecuteRequest } from "../../src/app/agent_service.ts";

/** An agent that notes how it is called and answers at once, unless `behaviour` says otherwise. */
export class FakeAgentService implements AgentService {
  /** Method and its arguments, signals left out. */
  readonly calls: unknown[][] = [];
  /** What a method does instead. */
  behaviour: Partial<AgentService> = {};
  /** An operation on any other kernel fails. */
  knownKernel: KernelId | undefined;

  async createKernel(request: KernelRequest, signal: AbortSignal): Promise<CreatedKernel> {
    this.calls.push(["createKernel", request]);
    if (this.behaviour.createKernel) return await this.behaviour.createKernel(request, signal);
    return {
      kernelId: request.kernelId,
      kernelHost: "10.0.0.5",
      replInPort: 30000,
      replOutPort: 30001,
      services: [{ name: "sshd", protocol: "tcp", containerPorts: [2200], hostPorts: [30002] }],
      containerId: parseContainerId("c0".repeat(32)),
      slots: request.slots,
      allocation: new Map([
        ["cpu", new Map([["0", 1_000_000n], ["1", 1_000_000n]])],
        ["mem", new Map([["root", request.slots.get("mem") ?? 0n]])],
      ]),
      idleTimeoutS: request.idleTimeoutS,
      mounts: [],
    };
  }

  async destroyKernel(kernelId: KernelId, reason: string, signal: AbortSignal): Promise<KernelMetrics | null> {
    this.calls.push(["destroyKernel", kernelId, reason]);
    return await this.behaviour.destroyKernel?.(kernelId, reason, signal) ?? null;
  }

  interruptKernel(kernelId: KernelId): void {
    this.calls.push(["interruptKernel", kernelId]);
    this.#require(kernelId);
  }

  async execute(request: ExecuteRequest, signal: AbortSignal): Promise<RunReport> {
    this.calls.push(["execute", request]);
    if (this.behaviour.execute) return await this.behaviour.execute(request, signal);
    const runId = request.runId ?? parseRunId("made-up");
    return { runId, status: "finished", exitCode: 0, options: null, output: { console: [["stdout", "1\n"]] } };
  }

  async getLogs(kernelId: KernelId, signal: AbortSignal): Promise<string> {
    this.calls.push(["getLogs", kernelId]);
    this.#require(kernelId);
    return await this.behaviour.getLogs?.(kernelId, signal) ?? "a log\n";
  }

  touch(kernelId: KernelId): void {
    this.calls.push(["touch", kernelId]);
  }

  async destroyAll(reason: string, signal: AbortSignal): Promise<void> {
    this.calls.push(["destroyAll", reason]);
    await this.behaviour.destroyAll?.(reason, signal);
  }

  #require(kernelId: KernelId): void {
    if (kernelId !== this.knownKernel) throw new KernelNotFound(kernelId);
  }
}

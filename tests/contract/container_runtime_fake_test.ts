import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { FakeContainerRuntime, FakeEngine } from "../../adapters/fake/container_runtime.ts";
import { RuntimeFailed } from "../../domain/errors.ts";
import { type ContainerId, type ImageId, parseAgentId, parseImageId } from "../../domain/ids.ts";
import type { ContainerDeath, ContainerDetails, ContainerSummary } from "../../src/ports/container_runtime.ts";
import {
  CONTAINER_RUNTIME_CASES,
  containerRuntimeContract,
  type ContainerRuntimeHarness,
} from "./container_runtime.ts";
import { failingCases } from "./contract_case.ts";

const imageId: ImageId = parseImageId(`sha256:${"a".repeat(64)}`);
const agentId = parseAgentId("i-test");

type MakeRuntime = (options: ConstructorParameters<typeof FakeContainerRuntime>[0]) => FakeContainerRuntime;

function harnessOf(make: MakeRuntime): () => Promise<ContainerRuntimeHarness> {
  let port = 30_000;
  // deno-lint-ignore require-await
  return async () => {
    const engine = new FakeEngine();
    const runtime: FakeContainerRuntime = make({ engine, agentId, images: new Set([imageId]) });
    runtime.onStart = ({ id, spec: { command: [verb, argument = ""] } }) => {
      if (verb === "exit") runtime.die(id, Number(argument));
      if (verb === "print") runtime.print(id, Buffer.from(argument, "hex"));
    };
    const unreachable = new FakeContainerRuntime();
    unreachable.engine.reachable = false;
    return {
      runtime,
      stranger: new FakeContainerRuntime({ engine, agentId: parseAgentId("i-other") }),
      unreachable,
      breakable: { runtime, cut: () => runtime.endWatches() },
      imageId,
      commands: {
        wait: () => ["wait"],
        exit: (code) => ["exit", String(code)],
        print: (output) => ["print", Buffer.from(output).toString("hex")],
      },
      hasNetwork: () => Promise.resolve(engine.networks.has(agentId)),
      dropNetwork: () => Promise.resolve(void engine.networks.delete(agentId)),
      freePort: () => port++,
      async [Symbol.asyncDispose]() {},
    };
  };
}

containerRuntimeContract("FakeContainerRuntime", harnessOf((options) => new FakeContainerRuntime(options)));

class ForgetsTheDead extends FakeContainerRuntime {
  override async list(signal: AbortSignal): Promise<readonly ContainerSummary[]> {
    return (await super.list(signal)).filter(({ status }) => status !== "dead");
  }
}

class ReportsExitCodesEarly extends FakeContainerRuntime {
  override async inspect(id: ContainerId, signal: AbortSignal): Promise<ContainerDetails> {
    const details = await super.inspect(id, signal);
    return { ...details, exitCode: details.exitCode ?? 0 };
  }
}

class RefusesToKillTheDead extends FakeContainerRuntime {
  override async kill(id: ContainerId, signal: AbortSignal): Promise<void> {
    const { status } = await super.inspect(id, signal);
    if (status !== "running") throw new RuntimeFailed("kill a container", 409, "it is not running");
    await super.kill(id, signal);
  }
}

class RepeatsOldDeaths extends FakeContainerRuntime {
  override watch(onReady: () => void, signal: AbortSignal): AsyncIterable<ContainerDeath> {
    return super.watch(() => {
      const dead = [...this.containers.values()].filter(({ status }) => status === "dead");
      const deaths = dead.map(({ id, spec: { kernelId }, exitCode }) => ({ id, kernelId, exitCode }));
      for (const watcher of this.engine.watchers) watcher.deaths.push(...deaths);
      onReady();
    }, signal);
  }
}

for (const Mutation of [ForgetsTheDead, ReportsExitCodesEarly, RefusesToKillTheDead, RepeatsOldDeaths]) {
  Deno.test(`containerRuntimeContract() finds the planted fault ${Mutation.name}`, async () => {
    const harness = harnessOf((options) => new Mutation(options));
    assert.notDeepEqual(await failingCases(CONTAINER_RUNTIME_CASES, harness), []);
  });
}

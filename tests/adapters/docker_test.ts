import assert from "node:assert/strict";
import { DockerRuntime } from "../../adapters/docker/container_runtime.ts";
import { EngineClient } from "../../adapters/docker/engine_client.ts";
import { DockerImages } from "../../adapters/docker/image_store.ts";
import { networkName } from "../../adapters/docker/agent_network.ts";
import { parseAgentId } from "../../domain/ids.ts";
import { containerRuntimeContract, type ContainerRuntimeHarness } from "../contract/container_runtime.ts";
import {
  IMAGE_FILES,
  IMAGE_LABELS,
  IMAGE_LINKS,
  imageStoreContract,
  type ImageStoreHarness,
} from "../contract/image_store.ts";
import { EngineProxy, freePort, openEngine, SILENT, TestRegistry, whyNoEngine } from "./docker_engine.ts";

const missing = await whyNoEngine({ registry: true });
if (missing !== undefined) console.log(`skipped: the Docker adapter against a real engine: ${missing}`);
const ignore = missing !== undefined;

async function runtimeHarness(transport: "unix" | "tcp"): Promise<ContainerRuntimeHarness> {
  const { engine, stack, agentId, client, unreachable } = await openEngine(transport);
  await using undo = stack;
  const proxy = undo.use(await EngineProxy.listen(transport));
  const breakableClient = undo.use(new EngineClient(proxy.endpoint));
  const imageId = await engine.importBusybox();
  const label = `ai.backend.internal.agent-id=${agentId}`;
  const kept = undo.move();
  return {
    runtime: new DockerRuntime({ client, agentId, log: SILENT }),
    stranger: new DockerRuntime({ client, agentId: parseAgentId(engine.agentId("other")), log: SILENT }),
    unreachable: new DockerRuntime({ client: unreachable, agentId, log: SILENT }),
    breakable: {
      runtime: new DockerRuntime({ client: breakableClient, agentId, log: SILENT }),
      cut: () => proxy.cut(),
    },
    imageId,
    commands: {
      wait: () => ["/bin/sleep", "600"],
      exit: (code) => ["/bin/sh", "-c", `exit ${code}`],
      print: (output) => {
        const octal = [...output].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
        return ["/bin/sh", "-c", `printf '${octal}'; sleep 600`];
      },
    },
    hasNetwork: async () => (await engine.ids("/networks", label)).length === 1,
    dropNetwork: async () => void await engine.call("DELETE", `/networks/${networkName(agentId)}`),
    freePort,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function imagesHarness(transport: "unix" | "tcp"): Promise<ImageStoreHarness> {
  const { engine, stack, agentId, client, unreachable } = await openEngine(transport);
  await using undo = stack;
  const name = `agent-test/${engine.run}`;
  const id = await engine.importImage({
    tag: `${name}/kernel:1`,
    labels: IMAGE_LABELS,
    files: IMAGE_FILES,
    links: IMAGE_LINKS,
  });
  await engine.call("POST", `/images/${id}/tag?repo=${name}/kernel&tag=latest`);
  const untagged = await engine.importImage({ labels: IMAGE_LABELS, files: new Map([["/a", "untagged"]]) });
  await engine.importImage({ tag: `${name}/ordinary:1`, files: new Map([["/a", "ordinary"]]) });
  const kept = undo.move();
  return {
    store: new DockerImages({ client, agentId, log: SILENT }),
    unreachable: new DockerImages({ client: unreachable, agentId, log: SILENT }),
    image: { id, tags: [`${name}/kernel:1`, `${name}/kernel:latest`] },
    untagged,
    ordinaryTag: `${name}/ordinary:1`,
    registry: async () => {
      const registry = kept.use(await TestRegistry.start());
      const good = await engine.importImage({ files: new Map([["/a", `good ${engine.run}`]]) });
      const broken = await engine.importImage({ files: new Map([["/a", `broken ${engine.run}`]]) });
      const references = {
        good: await registry.publish(engine, good, "good"),
        broken: await registry.publish(engine, broken, "broken"),
      };
      await registry.loseLayers("broken");
      return { credentials: registry.credentials, name: registry.name, ...references };
    },
    leftovers: () => engine.ids("/containers/json", `ai.backend.internal.image-reader=${agentId}`),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

for (const transport of ["unix", "tcp"] as const) {
  containerRuntimeContract(`DockerRuntime over ${transport}`, () => runtimeHarness(transport), { ignore });
  imageStoreContract(`DockerImages over ${transport}`, () => imagesHarness(transport), { ignore });
}

Deno.test({
  name: "EngineClient goes on after its connections were cut",
  ignore,
  async fn() {
    await using proxy = await EngineProxy.listen("tcp");
    using client = new EngineClient(proxy.endpoint);
    const ping = { attempt: "ping", method: "GET", path: "/_ping" } as const;
    for (let round = 0; round < 20; round++) {
      assert.equal((await client.call(ping, new AbortController().signal)).status, 200);
      proxy.cut();
    }
  },
});

/** What an abort does to calls that the engine would finish all the same. */
import assert from "node:assert/strict";
import { DockerRuntime } from "../../adapters/docker/container_runtime.ts";
import { EngineClient } from "../../adapters/docker/engine_client.ts";
import { parseAgentId, parseImageId, parseKernelId } from "../../domain/ids.ts";
import type { ContainerSpec } from "../../src/ports/container_runtime.ts";
import { SILENT } from "./docker_engine.ts";

const SPEC: ContainerSpec = {
  kernelId: parseKernelId("00000000-0000-4000-8000-000000000001"),
  name: "kernel.test",
  imageId: parseImageId(`sha256:${"0".repeat(64)}`),
  command: ["/bin/true"],
  workdir: "/home/work",
  uid: 1000,
  gid: 1000,
  environ: new Map(),
  labels: new Map(),
  mounts: [],
  ports: [],
  cores: [0],
  cpuQuota: 1,
  memoryBytes: 1n << 28n,
  shmemBytes: 0n,
  pidsLimit: 100,
};

Deno.test("[04-D39] DockerRuntime.create() ends by an abort only when the engine has made the container", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  let made = false;
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    if (request.url.endsWith("/version")) return Response.json({ ApiVersion: "1.41", MinAPIVersion: "1.12" });
    asked.resolve();
    await answer.promise;
    made = true;
    return Response.json({ Id: "a".repeat(64), Warnings: [] }, { status: 201 });
  });
  using client = new EngineClient({ transport: "tcp", hostname: "127.0.0.1", port: server.addr.port });
  const runtime = new DockerRuntime({ client, agentId: parseAgentId("i-test"), log: SILENT });
  const abort = new AbortController();
  const reason = new Error("the creation was cancelled");

  const created = runtime.create(SPEC, abort.signal).then(() => undefined, (error) => ({ error, made }));
  await asked.promise;
  abort.abort(reason);
  answer.resolve();
  assert.deepEqual(await created, { error: reason, made: true });
});

/** Hostile users, engines and moments: nothing of it may cost another kernel, or leave anything behind. */
import assert from "node:assert/strict";
import { TestEngine } from "../adapters/docker_engine.ts";
import { type AgentClient, AgentProcess, until } from "./agent_process.ts";

/** Images made by `deploy/test.sh`. */
const PYTHON = Deno.env.get("TEST_PYTHON_IMAGE");
const NOTHING = Deno.env.get("TEST_EMPTY_IMAGE");
if (PYTHON === undefined) console.log("skipped: hostile Python code: TEST_PYTHON_IMAGE names no image");
if (NOTHING === undefined) console.log("skipped: hostile moments: TEST_EMPTY_IMAGE names no image");

/** Of the ten kernels that fit into the ports of an agent under test; other programs may hold some of these ports. */
const CAPACITY = 8;

type Outcome = PromiseSettledResult<unknown>;

/** The containers of an agent by kernel id. */
async function containers(engine: TestEngine, agent: AgentProcess): Promise<ReadonlyMap<string, string>> {
  const filters = JSON.stringify({ label: [`ai.backend.internal.agent-id=${agent.id}`] });
  const query = new URLSearchParams({ all: "true", filters });
  const found: { Id: string; Labels: Record<string, string> }[] = JSON.parse(
    await engine.call("GET", `/containers/json?${query}`),
  );
  return new Map(found.map(({ Id, Labels }) => [Labels["ai.backend.kernel-id"] ?? "", Id]));
}

/** Waits until container and directory of `count` kernels are left, and nothing of any other. */
async function idleBut(agent: AgentProcess, count: number): Promise<void> {
  let left: readonly string[] = [];
  const isReached = async () => {
    left = (await agent.leftovers()).filter((it) => !it.startsWith("network")); // that stays while the agent runs
    return left.length === 2 * count;
  };
  await until(isReached, 15_000, () => `left: ${left.join(", ")}\n${agent.output}`);
}

/** All slots and ports are there to be had. */
async function assertFullCapacity(client: AgentClient, image: string): Promise<void> {
  const created = await Promise.all(Array.from({ length: CAPACITY }, () => client.create(image)));
  await Promise.all(created.map((kernelId) => client.calls.destroy(kernelId, "user-requested")));
}

Deno.test({
  name: "[04-D39] hostile: a destroy at any moment of a creation leaves nothing, and everything can be had again",
  ignore: NOTHING === undefined,
  fn: async () => {
    await using agent = new AgentProcess({ args: ["--standalone"] });
    await agent.start();
    await using client = agent.connect();
    await using other = agent.connect();
    for (const delayMs of [0, 10, 25, 50, 75, 100, 150, 200, 300, 450]) {
      const kernelId = crypto.randomUUID();
      const created = client.create(NOTHING ?? "", kernelId).then(() => true, () => false);
      await new Promise((resolve) => setTimeout(resolve, delayMs)); // the moment is what varies
      await other.calls.destroy(kernelId, "user-requested");
      if (await created) await other.calls.destroy(kernelId, "user-requested"); // the first one may have come too early
    }
    await idleBut(agent, 0);
    await assertFullCapacity(client, NOTHING ?? "");
    assert.equal(await agent.stop("SIGTERM"), 0);
    assert.deepEqual(await agent.leftovers(), []);
    assert.doesNotMatch(agent.output, /belongs to no kernel/);
  },
});

Deno.test({
  name: "hostile: what an operator does to containers behind the agent's back ends kernels, or does no harm",
  ignore: NOTHING === undefined,
  fn: async () => {
    await using engine = new TestEngine();
    await using agent = new AgentProcess({ args: ["--standalone"] });
    await agent.start();
    await using client = agent.connect();
    const deadly = [["POST", "/kill"], ["DELETE", "?force=1"], ["POST", "/stop?t=3"], [
      "POST",
      "/restart?t=0",
    ]] as const;
    for (const [method, action] of deadly) {
      const kernelId = await client.create(NOTHING ?? "");
      const id = (await containers(engine, agent)).get(kernelId);
      // The agent removes it as soon as it is dead: that may come before the engine's second half of a restart.
      await engine.call(method, `/containers/${id}${action}`).catch(() => {});
      await idleBut(agent, 0);
      await assert.rejects(client.run(kernelId, "1"), /Cannot find kernel/, action);
    }
    const kernelId = await client.create(NOTHING ?? "");
    const id = (await containers(engine, agent)).get(kernelId);
    await engine.call("POST", `/containers/${id}/pause`);
    const run = client.run(kernelId, "6 * 7");
    await engine.call("POST", `/containers/${id}/unpause`);
    assert.equal(await run, "42");
    await engine.call("POST", `/containers/${id}/pause`);
    await client.calls.destroy(kernelId, "user-requested");
    await idleBut(agent, 0);
    assert.equal(await agent.stop("SIGTERM"), 0);
    assert.deepEqual(await agent.leftovers(), []);
  },
});

Deno.test({
  name:
    "[04-D41] hostile: SIGTERM and more signals amid creations, runs and destroys: all are answered, nothing is left",
  ignore: NOTHING === undefined,
  fn: async () => {
    await using agent = new AgentProcess({ args: ["--standalone"] });
    await agent.start();
    await using client = agent.connect();
    const [running, going] = [await client.create(NOTHING ?? ""), await client.create(NOTHING ?? "")];
    const calls = Promise.allSettled([
      client.run(running, "for (;;);"),
      client.calls.destroy(going, "user-requested"),
      client.create(NOTHING ?? ""),
      client.create(NOTHING ?? ""),
    ]);
    await new Promise((resolve) => setTimeout(resolve, 150)); // somewhere in the middle
    agent.signal("SIGTERM");
    await until(() => agent.output.includes("agent stopping"), 5_000, () => agent.output);
    agent.signal("SIGINT");
    agent.signal("SIGTERM");
    assert.equal(await agent.exit(), 0);
    const unanswered = (outcome: Outcome) => outcome.status === "rejected" && /not answer/.test(String(outcome.reason));
    assert.deepEqual((await calls).filter(unanswered), []);
    assert.deepEqual(await agent.leftovers(), []);
  },
});

Deno.test({
  name: "hostile: kill -9 amid creations and destroys; the next start keeps what was promised and removes the rest",
  ignore: NOTHING === undefined,
  fn: async () => {
    await using engine = new TestEngine();
    await using agent = new AgentProcess({ args: ["--standalone"] });
    for (const delayMs of [60, 250]) {
      await agent.start();
      await using client = agent.connect();
      const kept = await client.create(NOTHING ?? "");
      await client.run(kept, `const kept = "state ${delayMs}"`);
      const going = await client.create(NOTHING ?? "");
      const begun = crypto.randomUUID();
      void client.create(NOTHING ?? "", begun).catch(() => {});
      void client.calls.destroy(going, "user-requested").catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, delayMs)); // somewhere in the middle
      await agent.stop("SIGKILL");
      await agent.start();
      await using next = agent.connect();
      assert.equal(await next.run(kept, "kept"), `"state ${delayMs}"`);
      // What was under way may have come through without its answer: then it is whole, and can be ended.
      for (const kernelId of [begun, going, kept]) await next.calls.destroy(kernelId, "user-requested");
      await idleBut(agent, 0);
      assert.equal((await containers(engine, agent)).size, 0);
      await assertFullCapacity(next, NOTHING ?? "");
      assert.equal(await agent.stop("SIGTERM"), 0);
    }
    assert.deepEqual(await agent.leftovers(), []);
  },
});

Deno.test({
  name: "hostile: code that floods, or kills its interpreter or its runner, harms nobody else",
  ignore: PYTHON === undefined,
  fn: async () => {
    await using agent = new AgentProcess({ args: ["--standalone"] });
    await agent.start();
    await using client = agent.connect();
    const [hostile, victim] = [await client.create(PYTHON ?? ""), await client.create(PYTHON ?? "")];
    const flood = { kernelId: hostile, runId: "flood", mode: "query", code: "while True: print('x' * 1000)" } as const;
    await client.calls.execute(flood);
    assert.equal(await client.run(victim, "print('undisturbed')"), "undisturbed\n");
    await client.calls.interrupt(hostile);
    let reply = await client.calls.execute({ ...flood, mode: "continue", code: "" });
    while (reply.status === "continued") reply = await client.calls.execute({ ...flood, mode: "continue", code: "" });
    assert.equal(reply.status, "finished");

    assert.match(await client.run(hostile, "import os; os.kill(os.getpid(), 9)"), /a new one takes over/);
    assert.match(await client.run(hostile, "import os; os.closerange(0, 65536)"), /a new one takes over/);
    assert.equal(await client.run(hostile, "print('alive')"), "alive\n");
    assert.match(await client.run(hostile, "import os; os.kill(os.getppid(), 9)"), /The kernel has ended/);
    await idleBut(agent, 1);
    await assert.rejects(client.run(hostile, "1"), /Cannot find kernel/);
    assert.equal(await client.run(victim, "print('undisturbed')"), "undisturbed\n");
    assert.equal(await agent.stop("SIGTERM"), 0);
    assert.deepEqual(await agent.leftovers(), []);
  },
});

for (
  const [key, toml, message] of [
    ["scratch-root", '"/proc/scratches"', /cannot create files in "\/proc\/scratches"/],
    ["kernel-host", '"192.0.2.1"', /"container.kernel-host" is "192\.0\.2\.1"/],
    ["docker-host", '"unix:///no/such.sock"', /Cannot reach the container engine at "unix:\/\/\/no/],
  ] as const
) {
  Deno.test(`hostile: an agent whose ${key} cannot be used says so and does not start`, async () => {
    await using agent = new AgentProcess({ args: ["--standalone"], container: { [key]: toml } });
    agent.launch();
    assert.equal(await agent.exit(), 1);
    assert.match(agent.output, message);
    assert.deepEqual((await agent.leftovers()).filter((it) => !it.startsWith("network")), []);
  });
}

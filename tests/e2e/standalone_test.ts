/** The agent without etcd, Redis and manager, through its own client, in real containers. */
import assert from "node:assert/strict";
import { AgentProcess, until } from "./agent_process.ts";

/** Images made by `deploy/test.sh`. */
const PYTHON = Deno.env.get("TEST_PYTHON_IMAGE");
const NOTHING = Deno.env.get("TEST_EMPTY_IMAGE");
if (PYTHON === undefined) console.log("skipped: kernels with Python: TEST_PYTHON_IMAGE names no image");
if (NOTHING === undefined) console.log("skipped: kernels in an empty image: TEST_EMPTY_IMAGE names no image");

Deno.test({
  name: "standalone: a kernel in an image with nothing in it runs TypeScript, and nothing is left of it",
  ignore: NOTHING === undefined,
  fn: async () => {
    await using agent = new AgentProcess({ args: ["--standalone"] });
    await agent.start();
    {
      await using client = agent.connect();
      const kernelId = await client.create(NOTHING ?? "");
      assert.equal(await client.run(kernelId, "const n: number = 6; console.log(n * 7)"), "42\n");
      assert.equal(await client.run(kernelId, "n + 1"), "7");
      assert.match(await client.run(kernelId, "console.log(Deno.uid())"), /^(?!0$)\d+\n$/);
      assert.match(await client.run(kernelId, "throw new RangeError('too far')"), /RangeError: too far/);
      await client.calls.destroy(kernelId, "user-requested");
    }
    assert.equal(await agent.stop("SIGTERM"), 0);
    assert.deepEqual(await agent.leftovers(), []);
  },
});

Deno.test({
  name: "standalone: a kernel and its Python state outlive kill -9 of the agent",
  ignore: PYTHON === undefined,
  fn: async () => {
    await using agent = new AgentProcess({ args: ["--standalone"] });
    await agent.start();
    let kernelId: string;
    {
      await using client = agent.connect();
      kernelId = await client.create(PYTHON ?? "");
      assert.equal(await client.run(kernelId, "kept = 123"), "");
    }
    await agent.stop("SIGKILL");
    await agent.start();
    {
      await using client = agent.connect();
      assert.equal(await client.run(kernelId, "print(kept)"), "123\n");
      await until(async () => (await client.calls.logs(kernelId)).includes("123"), 5_000, () => "no log of the output");
      await assert.rejects(client.calls.create(kernelId, {}), /config\./);
    }
    assert.equal(await agent.stop("SIGINT"), 0);
    assert.equal((await agent.leftovers()).length, 3, "the kernel lives on after SIGINT");
    await agent.start();
    assert.equal(await agent.stop("SIGTERM"), 0);
    assert.deepEqual(await agent.leftovers(), []);
  },
});

Deno.test("standalone: a second agent on the same port says so and ends", async () => {
  await using agent = new AgentProcess({ args: ["--standalone"] });
  await agent.start();
  await using second = new AgentProcess({ args: ["--standalone"], port: agent.port });
  second.launch();
  assert.equal(await second.exit(), 1);
  assert.match(second.output, /cannot listen on "tcp:\/\/127\.0\.0\.1:\d+"/);
  assert.equal(await agent.stop("SIGTERM"), 0);
});

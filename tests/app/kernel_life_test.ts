/** Whatever happens in whatever order, kernels keep nothing and the manager hears of each end once. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type KernelId } from "../../domain/ids.ts";
import { COUNT } from "../../domain/resource/slots.ts";
import { GIB, kernelId, kernelRequest, never } from "./kernel_request.ts";
import { assertNothingHeld, makeAgent, now, settle, type TestAgent, World } from "./make_agent.ts";

const OPERATION = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("create"), fresh: fc.boolean(), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("destroy"), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("die"), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("vanish", "lose the stream", "remove the image") }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("switch"),
      part: fc.constantFrom("engine", "events", "statistics"),
      on: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("fail"),
      part: fc.constantFrom("runtime", "sink"),
      step: fc.constantFrom("create", "start", "inspect", "kill", "remove", "list", "publish", "watch"),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait"), ms: fc.nat({ max: 40_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart") }) },
);
type Operation = typeof OPERATION extends fc.Arbitrary<infer T> ? T : never;

/** One agent after another in one world, and what the manager was told by all of them. */
class Life {
  readonly #world = new World();
  readonly #created: KernelId[] = [];
  /** What calls are about: each process of the agent tells an end once, also one that an earlier process told. */
  #current: KernelId[] = [];
  readonly #told: (readonly [KernelId, string])[] = [];
  #agent = makeAgent({ world: this.#world });

  async begin(): Promise<void> {
    await now(this.#agent.runAgent.start(never));
  }

  async perform(operation: Operation): Promise<void> {
    const { agent, fakes, clock } = this.#agent;
    const { engine, images } = this.#world;
    const id = "pick" in operation ? this.#current[operation.pick % this.#current.length] : undefined;
    switch (operation.kind) {
      case "create":
        this.#create("fresh" in operation && operation.fresh ? undefined : id);
        break;
      case "destroy":
        if (id !== undefined) agent.destroyKernel(id, "user-requested", never).catch(() => {});
        break;
      case "die":
        for (const container of engine.containers.values()) {
          if (container.spec.kernelId === id) fakes.runtime.die(container.id, 1);
        }
        break;
      case "vanish":
        for (const container of engine.containers.values()) {
          if (container.status === "dead") engine.containers.delete(container.id);
        }
        break;
      case "lose the stream":
        fakes.runtime.endWatches();
        break;
      case "remove the image":
        images.images.clear();
        break;
      case "switch":
        if ("on" in operation) this.#switch(operation.part, operation.on);
        break;
      case "fail":
        if ("step" in operation) fakes[operation.part].faults.add(operation.step, new Error("boom"));
        break;
      case "wait":
        if ("ms" in operation) await clock.advance(operation.ms);
        break;
      case "restart":
        await this.#restart();
        break;
    }
  }

  /** Everything works again, and every kernel is ended. */
  async end(): Promise<void> {
    this.#repair();
    await this.#agent.clock.advance(120_000);
    const ended = this.#agent.agent.destroyAll("agent-reset", never);
    await this.#agent.clock.advance(120_000);
    await now(ended);
    assertNothingHeld(this.#agent);
    await this.#stop();
    assert.equal(this.#agent.clock.sleepers, 0);
    for (const id of this.#created) this.#checkStory(id);
    assert.deepEqual(this.#world.log.messages("error").filter((message) => message === "background task failed"), []);
  }

  /** Again a kernel that there is, or a new one: a manager never uses an id twice. */
  #create(known: KernelId | undefined): void {
    const { agent, table } = this.#agent;
    const exists = known !== undefined && table.find(known) !== undefined;
    const id = exists ? known : kernelId(this.#created.length + 1);
    if (!exists) { for (const ids of [this.#created, this.#current]) ids.push(id); }
    const slots = new Map([["cpu", COUNT], ["mem", GIB]]);
    agent.createKernel(kernelRequest({ kernelId: id, slots }), never).catch(() => {});
  }

  #switch(part: "engine" | "events" | "statistics", on: boolean): void {
    if (part === "engine") this.#world.engine.reachable = on;
    else if (part === "events") this.#agent.fakes.sink.reachable = on;
    else this.#agent.fakes.store.reachable = on;
  }

  #repair(): void {
    for (const part of ["engine", "events", "statistics"] as const) this.#switch(part, true);
  }

  async #restart(): Promise<void> {
    this.#repair(); // an agent that ends while the store is out loses events, and says so
    await this.#stop();
    this.#agent = makeAgent({ world: this.#world });
    await this.begin();
    this.#current = this.#agent.table.all().map(({ id }) => id);
  }

  async #stop(): Promise<void> {
    const { runAgent, clock } = this.#agent;
    let stopped = false;
    const stopping = runAgent.stop({ endKernels: false }).then(() => stopped = true);
    for (let i = 0; i < 40 && !stopped; i++) await clock.advance(1_000);
    await now(stopping);
    this.#listen(this.#agent);
  }

  #listen({ fakes }: TestAgent): void {
    for (const event of fakes.sink.events) if ("kernelId" in event) this.#told.push([event.kernelId, event.kind]);
  }

  #checkStory(id: KernelId): void {
    const story = this.#told.filter(([other, kind]) => other === id && kind !== "kernel_stat_sync")
      .map(([, kind]) => kind.replace("kernel_", "")).join(" ");
    assert.match(story, STORY);
  }
}

/** A kernel that has started ends; one that has not is told as ended only if somebody destroyed it. */
const STORY = /^(preparing( pulling)?( creating)?)?( ?terminated)?$|^preparing (pulling )?creating started terminated$/;

Deno.test("a kernel's end is told once and leaves nothing, in any order of calls, deaths, failures and restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(OPERATION, fc.boolean()), { maxLength: 40 }), async (operations) => {
      const life = new Life();
      await life.begin();
      for (const [operation, calm] of operations) {
        await life.perform(operation);
        if (calm) await settle();
      }
      await life.end();
    }),
    { numRuns: 200 },
  );
});

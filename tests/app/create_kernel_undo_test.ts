/** Every call that a creation makes fails, or is the moment at which somebody cancels it. */
import assert from "node:assert/strict";
import {
  AgentStopping,
  CreationCancelled,
  EventSinkUnavailable,
  KernelNotFound,
  RuntimeUnavailable,
} from "../../domain/errors.ts";
import { KERNEL, kernelRequest, never } from "./kernel_request.ts";
import { assertNothingHeld, holdings, makeAgent, now, settle, type TestAgent, World } from "./make_agent.ts";

/** What happens in a creation that succeeds, in order. A call that returns at once and is repeated counts once. */
interface Moment {
  readonly step: string;
  readonly index: number;
}

/** Everything that a creation may call: the image has to be pulled, and kernels do not run as root. */
const make = () => makeAgent({ world: new World([]) });

async function findMoments(): Promise<readonly Moment[]> {
  const test = make();
  await test.agent.createKernel(kernelRequest(), never);
  const { taken } = test.steps;
  const end = taken.findLastIndex((step) => step === "sink.publish"); // statistics come after it
  return taken.slice(0, end + 1).map((step, index) => ({ step, index }))
    .filter(({ step, index }) => step !== "host.canBind" || taken[index - 1] !== step);
}

const MOMENTS = await findMoments();
const boom = new Error("boom");
/** Calls that may have had their effect although their reply was lost, and how that looks. */
const LOST_REPLIES: Readonly<Record<string, Error>> = {
  "sink.publish": new EventSinkUnavailable("publish"),
  "runtime.create": new RuntimeUnavailable("fake"),
  "runtime.start": new RuntimeUnavailable("fake"),
};

Deno.test("a creation makes the calls that the tests below interrupt", () => {
  const steps = new Set(MOMENTS.map(({ step }) => step));
  assert.deepEqual([...steps].sort(), [
    "channels.open",
    "host.canBind",
    "images.find",
    "images.pull",
    "images.readFile",
    "runtime.create",
    "runtime.inspect",
    "runtime.start",
    "scratch.create",
    "scratch.writeConfig",
    "scratch.writeRecord",
    "sink.publish",
  ]);
});

for (const { step, index } of MOMENTS) {
  const at = `${step} (call ${index + 1})`;

  Deno.test(`CreateKernel leaves nothing behind when ${at} fails`, async () => {
    const test = make();
    test.steps.before = (_, current) => {
      if (current === index) throw boom;
    };
    await assert.rejects(test.agent.createKernel(kernelRequest(), never), boom);
    assertNothingHeld(test);
    await assertNeverRan(test);
  });

  const lost = LOST_REPLIES[step];
  if (lost !== undefined) {
    Deno.test(`CreateKernel leaves nothing behind when the reply of ${at} is lost`, async () => {
      const test = make();
      test.steps.after = (_, current) => {
        if (current === index) throw lost;
      };
      await assert.rejects(test.agent.createKernel(kernelRequest(), never), lost);
      assertNothingHeld(test);
      await assertNeverRan(test);
    });
  }

  for (const side of ["before", "after"] as const) {
    if (side === "after" && (step === "host.canBind" || step === "channels.open")) continue; // nothing comes between

    Deno.test(`[04-D39] a destroy cancels a creation ${side} ${at}`, async () => {
      const test = make();
      let destroyed: Promise<unknown> | undefined;
      test.steps[side] = (_, current) => {
        if (current !== index) return;
        destroyed = test.agent.destroyKernel(KERNEL, "user-requested", never).then((metrics) => {
          assertNothingHeld(test);
          return metrics;
        });
      };
      await assert.rejects(test.agent.createKernel(kernelRequest(), never), CreationCancelled);
      assert.equal(await now(destroyed ?? Promise.reject(boom)), null);
      assertNothingHeld(test);
      assert.deepEqual(ends(test), ["kernel_terminated user-requested null"]);
      assert.equal(test.told.at(-1), ends(test)[0], "the end comes last");
    });

    Deno.test(`[04-D5] the caller's abort ${side} ${at} undoes a creation`, async () => {
      const test = make();
      const caller = new AbortController();
      test.steps[side] = (_, current) => {
        if (current === index) caller.abort(boom);
      };
      await assert.rejects(test.agent.createKernel(kernelRequest(), caller.signal), boom);
      assertNothingHeld(test);
      await assertNeverRan(test);
    });

    Deno.test(`the agent's stop ${side} ${at} undoes a creation and waits for that`, async () => {
      const test = make();
      let stopped: Promise<void> | undefined;
      test.steps[side] = (_, current) => {
        if (current === index) stopped = test.creator.stop().then(() => assertNothingHeld(test));
      };
      await assert.rejects(test.agent.createKernel(kernelRequest(), never), AgentStopping);
      await now(stopped ?? Promise.reject(boom));
      await assertNeverRan(test);
    });
  }
}

/** A creation that failed was told to its caller, and to nobody as an end. */
async function assertNeverRan(test: TestAgent): Promise<void> {
  await settle();
  assert.deepEqual(ends(test), []);
  assert.throws(() => test.agent.interruptKernel(KERNEL), KernelNotFound);
}

function ends(test: TestAgent): string[] {
  return test.told.filter((text) => text.startsWith("kernel_terminated"));
}

for (const undo of ["runtime.remove", "runtime.list", "scratch.remove"]) {
  Deno.test(`CreateKernel gives the error that failed it, and undoes the rest, when ${undo} fails as well`, async () => {
    const test = makeAgent();
    test.steps.before = (step) => {
      if (step === undo) throw new Error("cannot undo");
      if (step === "sink.publish" && test.openChannels.ports.size > 0) throw boom; // the last one
    };
    await assert.rejects(test.agent.createKernel(kernelRequest(), never), boom);
    const { freeCores, freePorts, kernels, channels, scratches } = holdings(test);
    assert.deepEqual([freeCores, freePorts, kernels, channels], [4_000_000n, 100, 0, 0]);
    assert.equal(scratches, undo === "scratch.remove" ? 1 : 0);
    assert.equal(test.log.messages("error").length, 1);
  });
}

Deno.test("CreateKernel gives up an undo that does not come to an end", async () => {
  const test = makeAgent();
  test.fakes.runtime.remove = () => new Promise(() => {});
  test.fakes.scratch.remove = () => new Promise(() => {});
  test.steps.before = (step) => {
    if (step === "runtime.inspect") throw boom;
  };
  const created = assert.rejects(test.agent.createKernel(kernelRequest(), never), boom);
  await test.clock.advance(120_000);
  await now(created);
  assert.deepEqual([holdings(test).freeCores, holdings(test).freePorts], [4_000_000n, 100]);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseContainerId } from "../../domain/ids.ts";
import {
  INITIAL_STATE,
  type KernelAction,
  type KernelEvent,
  type KernelState,
  step,
} from "../../domain/kernel/lifecycle.ts";

const containerId = parseContainerId("ab".repeat(32));
const started: KernelEvent = { kind: "container-started", containerId };
const failed: KernelEvent = { kind: "creation-failed", reason: "failed" };
const destroy: KernelEvent = { kind: "destroy-requested", reason: "user-requested" };
const gone: KernelEvent = { kind: "container-gone", exitCode: 3 };
const cleaned: KernelEvent = { kind: "cleaned" };

/** Performs events from the start; gives the last state and the kinds of all actions. */
function play(...events: KernelEvent[]): { state: KernelState; actions: KernelAction[] } {
  let state: KernelState = INITIAL_STATE;
  const actions: KernelAction[] = [];
  for (const event of events) {
    const next = step(state, event);
    state = next.state;
    actions.push(...next.actions);
  }
  return { state, actions };
}
const kinds = (...events: KernelEvent[]) => play(...events).actions.map((action) => action.kind);

Deno.test("step() kills, cleans up and announces a destroyed kernel with the reason asked for", () => {
  const { state, actions } = play(started, destroy, gone, cleaned);
  assert.deepEqual(state, { status: "terminated", reason: "user-requested", exitCode: 3 });
  assert.deepEqual(actions, [
    { kind: "kill-container", containerId },
    { kind: "clean-up", containerId },
    { kind: "announce-termination", reason: "user-requested", exitCode: 3 },
  ]);
});

Deno.test("[02-3.1] step() announces a container that ended by itself as self-terminated", () => {
  const { state, actions } = play(started, gone, cleaned);
  assert.deepEqual(state, { status: "terminated", reason: "self-terminated", exitCode: 3 });
  assert.deepEqual(actions.map((action) => action.kind), ["clean-up", "announce-termination"]);
});

Deno.test("[04-D39] step() cancels the creation of a kernel that is destroyed meanwhile, and announces its end", () => {
  assert.deepEqual(kinds(destroy), ["cancel-creation"]);
  assert.deepEqual(kinds(destroy, failed), ["cancel-creation", "announce-termination"]);
  assert.deepEqual(kinds(destroy, cleaned), ["cancel-creation", "announce-termination"]);
});

Deno.test("step() announces nothing for a creation that failed: the create call says so", () => {
  assert.deepEqual(play(failed), { state: { status: "terminated", reason: "failed", exitCode: null }, actions: [] });
});

Deno.test("[04-D24] step() orders one kill however often a destroy is asked for", () => {
  assert.deepEqual(kinds(started, destroy, destroy, destroy), ["kill-container"]);
});

Deno.test("[02-D2] step() orders one clean-up and one announcement however often a death is reported", () => {
  assert.deepEqual(kinds(started, gone, gone, destroy, cleaned, gone, cleaned), ["clean-up", "announce-termination"]);
});

Deno.test("[02-D4] step() announces the termination last", () => {
  assert.deepEqual(kinds(started, destroy, gone), ["kill-container", "clean-up"]);
});

const anyEvent: fc.Arbitrary<KernelEvent> = fc.oneof(
  fc.constant(started),
  fc.constant(failed),
  fc.constantFrom("user-requested", "idle-timeout").map((reason) => ({ kind: "destroy-requested" as const, reason })),
  fc.option(fc.nat(255)).map((exitCode) => ({ kind: "container-gone" as const, exitCode })),
  fc.constant(cleaned),
);
const RANK = { preparing: 0, running: 1, terminating: 2, terminated: 3 };

Deno.test("step() is total, never goes back, and changes nothing when an event is repeated", () => {
  fc.assert(fc.property(fc.array(anyEvent, { maxLength: 20 }), (events) => {
    let state: KernelState = INITIAL_STATE;
    for (const event of events) {
      const next = step(state, event);
      assert.ok(RANK[next.state.status] >= RANK[state.status]);
      if (next.state === state) assert.deepEqual(next.actions, []);
      const again = step(next.state, event);
      assert.equal(again.state, next.state);
      assert.deepEqual(again.actions, []);
      state = next.state;
    }
  }));
});

Deno.test("step() gives each action at most once, on the container that was started, the announcement last", () => {
  fc.assert(fc.property(fc.array(anyEvent, { maxLength: 20 }), (events) => {
    const { state, actions } = play(...events);
    const given = actions.map((action) => action.kind);
    assert.equal(new Set(given).size, given.length);
    const announced = given.indexOf("announce-termination");
    if (announced >= 0) {
      assert.equal(announced, given.length - 1);
      assert.equal(state.status, "terminated");
    }
    for (const action of actions) if ("containerId" in action) assert.equal(action.containerId, containerId);
  }));
});

Deno.test("step() ends every kernel whose clean-up is reported done", () => {
  fc.assert(fc.property(fc.array(anyEvent, { maxLength: 20 }), (events) => {
    const { state } = play(...events, destroy, gone, cleaned);
    assert.equal(state.status, "terminated");
  }));
});

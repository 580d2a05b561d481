import assert from "node:assert/strict";
import { EventSinkUnavailable } from "../../domain/errors.ts";
import { parseImageId, parseKernelId } from "../../domain/ids.ts";
import type { AgentEvent, AgentInfo } from "../../domain/kernel/events.ts";
import type { EventSink } from "../../src/ports/event_sink.ts";
import { type ContractCase, registerContract, within } from "./contract_case.ts";

export interface EventSinkHarness extends AsyncDisposable {
  readonly sink: EventSink;
  /** What a manager has got so far, in order: {@linkcode labelOf} of each event. */
  taken(): Promise<readonly string[]>;
  /** The `version` of the newest heartbeat that a manager has got. */
  newestHeartbeat(): Promise<string | undefined>;
  /** Makes the store unreachable until it is disposed of. */
  outage(): Promise<AsyncDisposable>;
}

export function eventSinkContract(
  name: string,
  make: () => Promise<EventSinkHarness>,
  options?: { outages?: boolean; ignore?: boolean },
): void {
  registerContract(EVENT_SINK_CASES, name, make, options);
}

/** Name and arguments of an event, as one text. */
export function labelOf(name: string, args: readonly unknown[]): string {
  return `${name} ${JSON.stringify(args)}`;
}

const LIMIT_MS = 15_000;
const signal = new AbortController().signal;
const reason = new Error("the caller lost interest");
const kernelId = parseKernelId("d5cf3a27-c8f4-4e2d-a2a4-41f0b6c1e2d3");

function pulling(image: string): AgentEvent {
  return { kind: "kernel_pulling", kernelId, image };
}

function labelOfPulling(image: string): string {
  return labelOf("kernel_pulling", [kernelId, image]);
}

/** A heartbeat that is told from others by its version. */
export function heartbeatOf(version: string): AgentInfo {
  return {
    host: "10.0.0.1",
    port: 6001,
    region: "local",
    scalingGroup: "default",
    slots: new Map([["cpu", { unit: "count", amount: 7_000_000n }], ["mem", { unit: "bytes", amount: 1n << 34n }]]),
    version,
    computePlugins: { cpu: { version: "1" } },
    images: [{ tag: "lablup/lua:5.3-alpine3.8", id: parseImageId(`sha256:${"ab".repeat(32)}`) }],
  };
}

/** Every event, with its name and arguments. Source: 02 §3. */
export const EVERY_EVENT: readonly (readonly [AgentEvent, string, readonly unknown[]])[] = [
  [{ kind: "instance_started", reason: "self-started" }, "instance_started", ["self-started"]],
  [{ kind: "kernel_preparing", kernelId }, "kernel_preparing", [kernelId]],
  [pulling("index.docker.io/lablup/lua:5.3"), "kernel_pulling", [kernelId, "index.docker.io/lablup/lua:5.3"]],
  [{ kind: "kernel_creating", kernelId }, "kernel_creating", [kernelId]],
  [{ kind: "kernel_started", kernelId }, "kernel_started", [kernelId]],
  [{ kind: "kernel_stat_sync", kernelId }, "kernel_stat_sync", [kernelId]],
  [
    { kind: "kernel_terminated", kernelId, reason: "user-requested", exitCode: 137 },
    "kernel_terminated",
    [kernelId, "user-requested", 137],
  ],
  [
    { kind: "kernel_terminated", kernelId, reason: "self-terminated", exitCode: null },
    "kernel_terminated",
    [kernelId, "self-terminated", null],
  ],
  [{ kind: "instance_terminated", reason: "shutdown" }, "instance_terminated", ["shutdown"]],
];

/** Repeats the call as a caller does, until it succeeds. */
async function insist(call: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + LIMIT_MS;;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

const DELIVERY_CASES: readonly ContractCase<EventSinkHarness>[] = [
  {
    name: "publish() resolves once the event is handed over",
    async run(make) {
      await using harness = await make();
      for (const [index, [event]] of EVERY_EVENT.entries()) {
        await within(LIMIT_MS, harness.sink.publish(event, signal));
        const expected = EVERY_EVENT.slice(0, index + 1).map(([, name, args]) => labelOf(name, args));
        assert.deepEqual(await harness.taken(), expected);
      }
    },
  },
  {
    name: "publish() hands over in the order of the calls",
    async run(make) {
      await using harness = await make();
      const images = Array.from({ length: 200 }, (_, index) => `image:${index}`);
      await within(LIMIT_MS, Promise.all(images.map((image) => harness.sink.publish(pulling(image), signal))));
      assert.deepEqual(await harness.taken(), images.map(labelOfPulling));
    },
  },
  {
    name: "heartbeat() hands over a heartbeat, the newest last",
    async run(make) {
      await using harness = await make();
      for (const version of ["1", "2", "3"]) {
        await within(LIMIT_MS, harness.sink.heartbeat(heartbeatOf(version), signal));
        assert.equal(await harness.newestHeartbeat(), version);
      }
    },
  },
  {
    name: "heartbeat() and publish() called together both hand over",
    async run(make) {
      await using harness = await make();
      const images = Array.from({ length: 20 }, (_, index) => `image:${index}`);
      await within(
        LIMIT_MS,
        Promise.all([
          harness.sink.heartbeat(heartbeatOf("1"), signal),
          ...images.map((image) => harness.sink.publish(pulling(image), signal)),
        ]),
      );
      assert.equal(await harness.newestHeartbeat(), "1");
      assert.deepEqual(
        (await harness.taken()).filter((label) => label.startsWith("kernel")),
        images.map(labelOfPulling),
      );
    },
  },
];

const FAILURE_CASES: readonly ContractCase<EventSinkHarness>[] = [
  {
    name: "both methods throw the signal's reason if it is aborted, and hand nothing over",
    async run(make) {
      await using harness = await make();
      const aborted = AbortSignal.abort(reason);
      await assert.rejects(within(LIMIT_MS, harness.sink.publish(pulling("a"), aborted)), reason);
      await assert.rejects(within(LIMIT_MS, harness.sink.heartbeat(heartbeatOf("1"), aborted)), reason);
      assert.deepEqual([await harness.taken(), await harness.newestHeartbeat()], [[], undefined]);
    },
  },
  {
    name: "both methods throw EventSinkUnavailable when the store does not take it in time",
    outage: true,
    async run(make) {
      await using harness = await make();
      await using _outage = await harness.outage();
      await assert.rejects(within(LIMIT_MS, harness.sink.publish(pulling("a"), signal)), EventSinkUnavailable);
      await assert.rejects(within(LIMIT_MS, harness.sink.heartbeat(heartbeatOf("1"), signal)), EventSinkUnavailable);
    },
  },
  {
    name: "both methods throw the signal's reason once it is aborted during an outage",
    outage: true,
    async run(make) {
      await using harness = await make();
      await using _outage = await harness.outage();
      const controller = new AbortController();
      const calls = [
        harness.sink.publish(pulling("a"), controller.signal),
        harness.sink.heartbeat(heartbeatOf("1"), controller.signal),
      ].map((call) => assert.rejects(within(LIMIT_MS, call), reason));
      controller.abort(reason);
      await Promise.all(calls);
    },
  },
  {
    name: "publish() hands over at least once what the caller repeats after an outage",
    outage: true,
    async run(make) {
      await using harness = await make();
      const outage = await harness.outage();
      await assert.rejects(harness.sink.publish(pulling("a"), signal), EventSinkUnavailable);
      await outage[Symbol.asyncDispose]();
      await insist(() => harness.sink.publish(pulling("a"), signal));
      assert.deepEqual([...new Set(await harness.taken())], [labelOfPulling("a")]);
    },
  },
  {
    name: "publish() never hands over an event after one of a later call",
    outage: true,
    async run(make) {
      await using harness = await make();
      const outage = await harness.outage();
      const images = ["a", "b", "c"];
      await Promise.all(
        images.map((image) => assert.rejects(harness.sink.publish(pulling(image), signal), EventSinkUnavailable)),
      );
      await outage[Symbol.asyncDispose]();
      await insist(() => harness.sink.publish(pulling("d"), signal));
      const taken = await harness.taken();
      assert.deepEqual(taken, [...images, "d"].map(labelOfPulling).filter((label) => taken.includes(label)));
    },
  },
  {
    name: "heartbeat() works again after an outage and leaves no older one behind it",
    outage: true,
    async run(make) {
      await using harness = await make();
      const outage = await harness.outage();
      const stale = ["1", "2", "3"].map((version) =>
        assert.rejects(within(LIMIT_MS, harness.sink.heartbeat(heartbeatOf(version), signal)), EventSinkUnavailable)
      );
      await Promise.all(stale);
      await outage[Symbol.asyncDispose]();
      await insist(() => harness.sink.heartbeat(heartbeatOf("4"), signal));
      assert.equal(await harness.newestHeartbeat(), "4");
    },
  },
];

export const EVENT_SINK_CASES = [...DELIVERY_CASES, ...FAILURE_CASES];

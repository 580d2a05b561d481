import assert from "node:assert/strict";
import { FakeEventSink } from "../../adapters/fake/event_sink.ts";
import { encodeEvent } from "../../adapters/redis/event_codec.ts";
import type { AgentEvent } from "../../domain/kernel/events.ts";
import { failingCases } from "./contract_case.ts";
import { EVENT_SINK_CASES, eventSinkContract, type EventSinkHarness, labelOf } from "./event_sink.ts";

// deno-lint-ignore require-await
async function harnessOf(sink: FakeEventSink): Promise<EventSinkHarness> {
  return {
    sink,
    // deno-lint-ignore require-await
    async taken() {
      return sink.events.map(encodeEvent).map(({ name, args }) => labelOf(name, args));
    },
    // deno-lint-ignore require-await
    async newestHeartbeat() {
      return sink.heartbeats.at(-1)?.version;
    },
    // deno-lint-ignore require-await
    async outage() {
      sink.reachable = false;
      return {
        // deno-lint-ignore require-await
        async [Symbol.asyncDispose]() {
          sink.reachable = true;
        },
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}

eventSinkContract("FakeEventSink", () => harnessOf(new FakeEventSink()));

/** The later event overtakes. */
class SwapsNeighbours extends FakeEventSink {
  override async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    await super.publish(event, signal);
    const last = this.events.pop();
    const before = this.events.pop();
    for (const one of [last, before]) if (one !== undefined) this.events.push(one);
  }
}

/** An event that failed comes late. */
class QueuesWhatFailed extends FakeEventSink {
  readonly #failed: AgentEvent[] = [];
  override async publish(event: AgentEvent, signal: AbortSignal): Promise<void> {
    try {
      await super.publish(event, signal);
    } catch (error) {
      this.#failed.push(event);
      throw error;
    }
    this.events.push(...this.#failed.splice(0));
  }
}

class IgnoresTheSignal extends FakeEventSink {
  override async publish(event: AgentEvent): Promise<void> {
    await super.publish(event, new AbortController().signal);
  }
}

for (const Mutation of [SwapsNeighbours, QueuesWhatFailed, IgnoresTheSignal]) {
  Deno.test(`eventSinkContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(EVENT_SINK_CASES, () => harnessOf(new Mutation())), []);
  });
}

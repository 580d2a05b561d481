import type { AgentInfo } from "../../domain/kernel/events.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventSink } from "../ports/event_sink.ts";
import { withDeadline } from "./deadline.ts";
import type { KernelImages } from "./kernel_images.ts";

export const HEARTBEAT_INTERVAL_MS = 3_000;
/** Below the interval, so that a stalled store never delays the next one (02-D8). */
const LIMIT_MS = 2_500;

/** Tells the manager that this agent lives, what it has and which images. Source: 02 §4. */
export class Heartbeat {
  readonly #sink: EventSink;
  readonly #images: KernelImages;
  readonly #clock: Clock;
  readonly #info: Omit<AgentInfo, "images">;

  constructor(deps: { sink: EventSink; images: KernelImages; clock: Clock; info: Omit<AgentInfo, "images"> }) {
    this.#sink = deps.sink;
    this.#images = deps.images;
    this.#clock = deps.clock;
    this.#info = deps.info;
  }

  async send(signal: AbortSignal): Promise<void> {
    const info = { ...this.#info, images: this.#images.local };
    const options = { attempt: "send the heartbeat", limitMs: LIMIT_MS, signal };
    await withDeadline(this.#clock, options, (limited) => this.#sink.heartbeat(info, limited));
  }
}

import type { RunnerCommand, RunnerMessage } from "../../domain/kernel/runner_message.ts";

/** Where a kernel's runner takes commands and gives messages; TCP ports on this host. */
export interface RunnerEndpoint {
  readonly host: string;
  readonly commandPort: number;
  readonly messagePort: number;
}

/** A pair of one-way streams to the program inside one kernel's container. */
export interface RunnerChannel {
  /**
   * Queues a command; it is delivered in order, once, as soon as the runner listens.
   * @throws {RunnerUnavailable} if 16 MiB of commands wait already, or the channel is closed.
   */
  send(command: RunnerCommand): void;
  /** Stops taking messages from this runner, which then has to wait; other kernels are not affected. Idempotent. */
  pause(): void;
  /** Takes messages again. Idempotent. */
  resume(): void;
  /** Idempotent. No message is given after it. */
  close(): void;
}

/** Opens channels to runners. */
export interface RunnerChannels {
  /**
   * Returns at once, whether the runner listens yet or not; waits for it and reconnects by itself.
   * `onMessage` is called once for each well-formed message, in order; anything else that the container sends is
   * logged and left out. An error thrown by `onMessage` is logged; the channel goes on.
   */
  open(endpoint: RunnerEndpoint, onMessage: (message: RunnerMessage) => void): RunnerChannel;
}

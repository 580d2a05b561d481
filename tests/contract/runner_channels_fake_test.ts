import assert from "node:assert/strict";
import { FakeRunnerChannels } from "../../adapters/fake/runner_channels.ts";
import type { RunnerMessage } from "../../domain/kernel/runner_message.ts";
import type { Log } from "../../src/ports/log.ts";
import type { RunnerChannel, RunnerEndpoint } from "../../src/ports/runner_channels.ts";
import { failingCases } from "./contract_case.ts";
import { RUNNER_CHANNELS_CASES, runnerChannelsContract, type RunnerChannelsHarness } from "./runner_channels.ts";

// deno-lint-ignore require-await
async function harnessOf(Channels: typeof FakeRunnerChannels): Promise<RunnerChannelsHarness> {
  const logged: string[] = [];
  const note = (message: string) => void logged.push(message);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const channels = new Channels({ log, listening: false });
  let peers = 0;
  return {
    channels,
    logged,
    // deno-lint-ignore require-await
    async peer() {
      const endpoint: RunnerEndpoint = { host: "127.0.0.1", commandPort: 2000 + peers++, messagePort: 0 };
      const runner = channels.runner(endpoint);
      return {
        endpoint,
        commands: runner.commands,
        // deno-lint-ignore require-await
        listen: async () => runner.listen(),
        // deno-lint-ignore require-await
        stop: async () => runner.stop(),
        say: (message) => runner.emit(message),
        sayGarbage: () => runner.emitGarbage(),
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}

runnerChannelsContract("FakeRunnerChannels", () => harnessOf(FakeRunnerChannels));

class SendsTwice extends FakeRunnerChannels {
  override open(endpoint: RunnerEndpoint, onMessage: (message: RunnerMessage) => void): RunnerChannel {
    const channel = super.open(endpoint, onMessage);
    return {
      send(command) {
        channel.send(command);
        channel.send(command);
      },
      pause: () => channel.pause(),
      resume: () => channel.resume(),
      close: () => channel.close(),
    };
  }
}

class IgnoresPause extends FakeRunnerChannels {
  override open(endpoint: RunnerEndpoint, onMessage: (message: RunnerMessage) => void): RunnerChannel {
    const channel = super.open(endpoint, onMessage);
    return { send: (c) => channel.send(c), pause: () => {}, resume: () => {}, close: () => channel.close() };
  }
}

class StopsAtAnError extends FakeRunnerChannels {
  override open(endpoint: RunnerEndpoint, onMessage: (message: RunnerMessage) => void): RunnerChannel {
    let failed = false;
    return super.open(endpoint, (message) => {
      if (failed) return;
      failed = true;
      onMessage(message);
      failed = false;
    });
  }
}

for (const Mutation of [SendsTwice, IgnoresPause, StopsAtAnError]) {
  Deno.test(`runnerChannelsContract() finds the planted fault ${Mutation.name}`, async () => {
    assert.notDeepEqual(await failingCases(RUNNER_CHANNELS_CASES, () => harnessOf(Mutation)), []);
  });
}

import { SystemClock } from "../../adapters/clock/system_clock.ts";
import { clockContract } from "../contract/clock.ts";

// deno-lint-ignore require-await
clockContract("SystemClock", async () => {
  const clock = new SystemClock();
  return {
    clock,
    pass: async (ms) => {
      const untilMs = performance.now() + ms;
      while (performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 1));
    },
    wallMs: () => Date.now(),
    timers: () => undefined, // the test runner's sanitizer finds them
    async [Symbol.asyncDispose]() {},
  };
});

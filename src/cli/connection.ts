import { RpcClient } from "../../adapters/rpc/client.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
import { AgentError } from "../../domain/errors.ts";
import type { Caller } from "./agent_calls.ts";
import { CommandFailed, EXIT } from "./failure.ts";

/** A command is short: what the sockets have to say about connections is of no use on a terminal. */
const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Connects to the agent at `endpoint`; ZeroMQ does that in the background, so only a call shows whether it is there. */
export function connectAgent(endpoint: string): Caller & AsyncDisposable {
  const sockets = new ZeroMqSockets({ log: QUIET });
  const client = new RpcClient({ sockets, endpoint });
  return {
    async call(method, args, options) {
      try {
        return await client.call(method, args, options);
      } catch (error) {
        if (!(error instanceof AgentError) || error.code !== "deadline_exceeded") throw error;
        throw new CommandFailed(`the agent at ${endpoint} does not answer`, EXIT.unreachable, { cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await sockets[Symbol.asyncDispose]();
    },
  };
}

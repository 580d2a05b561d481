import { RpcClient, RpcError } from "../../adapters/rpc/client.ts";
import { ZeroMqSockets } from "../../adapters/zeromq/sockets.ts";
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
        throw commandFailure(error, endpoint);
      }
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await sockets[Symbol.asyncDispose]();
    },
  };
}

/** One line for a person; anything unexpected stays what it is. */
function commandFailure(error: unknown, endpoint: string): unknown {
  if (error instanceof RpcError) {
    const [text] = error.args;
    const reason = typeof text === "string" ? text : error.message;
    return new CommandFailed(`the agent refused: ${reason} (${error.type})`, EXIT.refused, { cause: error });
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return new CommandFailed(`the agent at ${endpoint} does not answer`, EXIT.unreachable, { cause: error });
  }
  return error;
}

/**
 * Measures this agent beside the original one and beside the bare container engine, all in one run:
 *
 *     deno task bench [--parts ping,create,execute,density,start] [--agents ours,original] [--density 10,30]
 *
 * Needs an installed testbed (`deno task testbed install`); the original agent is left out where CPython 3.6 is missing.
 * Figures come from `tests/testbed/rpcbench.py`, which drives either agent through its own interfaces.
 */
import { parseArgs } from "node:util";
import { figureRows, type Figures, table } from "./figures.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const TESTBED = `${ROOT}tests/testbed`;
const WORK_DIR = Deno.env.get("WORK_DIR") ?? `${ROOT}.cache/testbed`;
/** One core a kernel: room for the 30 of the density part on a small machine. */
const OVERCOMMIT = { ours: "32", original: "4" } as const;
type AgentName = keyof typeof OVERCOMMIT;

async function sh(command: string, env: Record<string, string> = {}): Promise<number> {
  const child = new Deno.Command("bash", {
    args: ["-c", command],
    cwd: TESTBED,
    env: { WORK_DIR, WATCHER: "0", ...env },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  });
  return (await child.spawn().status).code;
}

function agentEnv(name: AgentName): Record<string, string> {
  const env = { CPU_OVERCOMMIT: OVERCOMMIT[name], AGENT_DEADLINE: "120" };
  return name === "ours" ? { ...env, AGENT_CMD: `${ROOT}deploy/backendai-agent` } : env;
}

/** Starts one agent, measures it, ends it. */
async function measure(name: AgentName, parts: string, density: string): Promise<Figures> {
  const env = agentEnv(name);
  if (await sh("./agent.sh", env) !== 0) throw new Error(`the ${name} agent does not start`);
  const json = await Deno.makeTempFile({ suffix: ".json" });
  try {
    const python = `${WORK_DIR}/venv/agt/bin/python`;
    const code = await sh(
      `${python} rpcbench.py --rpc tcp://127.0.0.1:26001 --redis 127.0.0.1:26379 --agent-id i-agent1909 ` +
        `--pid "$(cat "$WORK_DIR/pids/agent")" --label ${name} --parts ${parts} --density ${density} --json ${json} ` +
        `--start-cmd ./agent.sh --stop-cmd './down.sh agent'`,
      env,
    );
    if (code !== 0) throw new Error(`measuring the ${name} agent failed`);
    return JSON.parse(await Deno.readTextFile(json)) as Figures; // written by rpcbench.py: name to figures
  } finally {
    await Deno.remove(json);
    await sh("./down.sh agent", env);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      parts: { type: "string", default: "ping,create,execute,density,start" },
      agents: { type: "string", default: "ours,original" },
      density: { type: "string", default: "10,30" },
    },
  });
  const measured = new Map<AgentName, Figures>();
  if (await sh("./up.sh") !== 0) {
    throw new Error("the testbed does not start; install it with: deno task testbed install");
  }
  for (const name of ["ours", "original"] as const) {
    if (!values.agents.split(",").includes(name)) continue;
    measured.set(name, await measure(name, values.parts, values.density));
  }
  console.log(table(figureRows(measured.get("ours"), measured.get("original"))));
  console.log(
    `load average ${Deno.loadavg().map((it) => it.toFixed(2)).join(" ")}, ${navigator.hardwareConcurrency} cores`,
  );
}

await main();

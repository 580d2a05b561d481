/**
 * The agent driven by a real, unmodified 19.09.5 manager and its published client: `tests/testbed`. Skipped, with a
 * visible line, where CPython 3.6 or the published packages are missing (`bash tests/testbed/run.sh install`).
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const RUN = fileURLToPath(new URL("../testbed/run.sh", import.meta.url));
const LIMIT_MS = 420_000;
/** Cases of `scenario.py` in their order, then what `run.sh` looks for afterwards. */
const CASES = [
  "manager_hello",
  "agent_is_alive",
  "image_is_installed",
  "create_session",
  "create_reuses_same_token",
  "query_print",
  "query_keeps_state",
  "query_exception_to_stderr",
  "query_long_run_is_continued",
  "query_large_output",
  "query_unicode",
  "query_user_input",
  "interrupt_running_code",
  "batch_exec",
  "get_logs",
  "ps_lists_session",
  "destroy_session",
  "four_sessions_at_once",
  "kernels_survive_agent_restart",
  "no_unfinished_sessions",
  "no_occupied_slots",
  "no_unread_events",
  "no_containers_left",
  "no_scratch_folders",
  "no_networks_left",
];

const ready = await bash(["ready"], AbortSignal.timeout(30_000));
if (ready.code !== 0) console.log(`skipped: tests with a real manager: ${ready.stdout.trim()}`);

Deno.test({
  name: "agent driven by a real 19.09.5 manager",
  ignore: ready.code !== 0,
  fn: async (t) => {
    const { stdout, stderr } = await bash(
      [CASES.filter((name) => !name.startsWith("no_")).join(",")],
      AbortSignal.timeout(LIMIT_MS),
    );
    const verdicts = new Map<string, string>();
    for (const [, verdict = "", name = "", why = ""] of stdout.matchAll(/^(PASS|FAIL) (\w+)(.*)$/gm)) {
      verdicts.set(name, verdict === "PASS" ? "" : `failed${why}`);
    }
    for (const name of CASES) {
      await t.step(name, () => assert.equal(verdicts.get(name) ?? `was not run\n${stderr.slice(-2000)}`, ""));
    }
  },
});

async function bash(args: readonly string[], signal: AbortSignal) {
  const child = new Deno.Command("bash", { args: [RUN, ...args], stdin: "null", stdout: "piped", stderr: "piped" })
    .spawn();
  // SIGTERM, not the default of an aborted command: the script takes down what it started.
  const stop = () => child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  try {
    const { code, stdout, stderr } = await child.output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: decode(stdout), stderr: decode(stderr) };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

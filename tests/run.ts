/**
 * Runs the test suites one after the other, each with its own permissions, and adds up what they report.
 * `deno task test` runs all of them, `deno task test domain app` only those. The last line is `N passed, N failed`.
 */
const SUITES: readonly string[] = ["domain", "app", "architecture", "contract", "adapters", "e2e"];
/** `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2 steps) | 4 filtered out (1s)` */
const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?:[^|]*\| (\d+) ignored)?/;

interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Reads the summary of one `deno test`; a run that failed without counting a failed test counts as one. */
function readTotals(output: readonly string[], exitCode: number): Totals {
  let totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  for (const line of output) {
    const found = SUMMARY.exec(line);
    if (found === null) continue;
    totals = { passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3] ?? 0) };
  }
  return exitCode !== 0 && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
}

async function runSuite(suite: string): Promise<Totals> {
  console.log(`\n== tests/${suite}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", `test:${suite}`],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines: string[] = [];
  let rest = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    await Deno.stdout.write(new TextEncoder().encode(chunk));
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  }
  const { code } = await child.status;
  return readTotals([...lines, rest], code);
}

const wanted = Deno.args.length === 0 ? SUITES : Deno.args;
const unknown = wanted.filter((suite) => !SUITES.includes(suite));
if (unknown.length > 0) {
  console.error(`Unknown suite "${unknown.join(", ")}": there are ${SUITES.join(", ")}`);
  Deno.exit(2);
}
const results = new Map<string, Totals>();
for (const suite of wanted) results.set(suite, await runSuite(suite));

console.log("");
let passed = 0;
let failed = 0;
for (const [suite, totals] of results) {
  passed += totals.passed;
  failed += totals.failed;
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : "";
  console.log(`tests/${suite}: ${totals.passed} passed, ${totals.failed} failed${skipped}`);
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);

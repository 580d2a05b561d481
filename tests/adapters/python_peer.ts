/** Python programs as peers, each with the packages it needs in a virtual environment under `.cache/`, made once. */
const CACHE = new URL("../../.cache/", import.meta.url).pathname;

/** The interpreter that has `requirements` (pinned); undefined, with a visible line, where it cannot be had. */
export async function pythonWith(name: string, requirements: readonly string[]): Promise<string | undefined> {
  const home = `${CACHE}python-${name}`;
  const python = `${home}/bin/python`;
  if (await exists(python)) return python;
  const making = `${home}.${Deno.pid}`; // renamed when it is complete, so that half an environment is never used
  const made = await run("python3", ["-m", "venv", making]) &&
    await run(`${making}/bin/python`, ["-m", "pip", "install", "--quiet", ...requirements]);
  if (made) await Deno.rename(making, home).catch(() => {}); // somebody else was first
  else console.log(`skipped: no Python environment with ${requirements.join(", ")}`);
  await Deno.remove(making, { recursive: true }).catch(() => {});
  return made ? python : undefined;
}

async function run(program: string, args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false; // not installed
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

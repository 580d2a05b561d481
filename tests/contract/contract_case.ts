/** Rejects when `promise` is not settled in time, so that a broken implementation fails a case instead of hanging it. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not settled within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One sentence of a port's contract. `make` gives a fresh implementation; the case disposes of it. */
export interface ContractCase<Harness extends AsyncDisposable> {
  readonly name: string;
  /** The case takes the store away for a while; an implementation that cannot lose its store leaves it out. */
  readonly outage?: true;
  run(make: () => Promise<Harness>): Promise<void>;
}

/** Runs every case as a test of its own; with `outages: false` only those that need none. */
export function registerContract<Harness extends AsyncDisposable>(
  cases: readonly ContractCase<Harness>[],
  name: string,
  make: () => Promise<Harness>,
  { outages = true, ignore = false }: { outages?: boolean; ignore?: boolean } = {},
): void {
  for (const { name: sentence, outage = false, run } of cases) {
    if (outage && !outages) continue;
    Deno.test({ name: `${name}: ${sentence}`, ignore, fn: () => run(make) });
  }
}

/** The sentences that an implementation does not keep: a planted fault must give at least one. */
export async function failingCases<Harness extends AsyncDisposable>(
  cases: readonly ContractCase<Harness>[],
  make: () => Promise<Harness>,
): Promise<string[]> {
  const failing: string[] = [];
  for (const { name, run } of cases) {
    await run(make).catch(() => failing.push(name));
  }
  return failing;
}

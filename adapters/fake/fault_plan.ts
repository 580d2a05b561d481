/**
 * Which calls of a fake fail, and how. Each operation has its own queue: the n-th call takes the n-th entry, `undefined`
 * lets that call pass, and calls beyond the queue pass.
 *
 * `new FaultPlan({ start: [undefined, boom] })` fails the second `start` only.
 */
export class FaultPlan {
  readonly #queues = new Map<string, (Error | undefined)[]>();

  constructor(faults: Readonly<Record<string, readonly (Error | undefined)[]>> = {}) {
    for (const [operation, errors] of Object.entries(faults)) this.add(operation, ...errors);
  }

  /** Plans more outcomes of `operation`, after those planned already. */
  add(operation: string, ...errors: readonly (Error | undefined)[]): void {
    const queue = this.#queues.get(operation);
    if (queue === undefined) this.#queues.set(operation, [...errors]);
    else queue.push(...errors);
  }

  /** Called by a fake at the start of `operation`. Throws the planned error, and uses it up. */
  next(operation: string): void {
    const error = this.#queues.get(operation)?.shift();
    if (error !== undefined) throw error;
  }
}

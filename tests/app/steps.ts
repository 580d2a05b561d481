/** Calls that return at once: a fault in them is thrown, not a rejection. */
const IMMEDIATE = new Set(["host.canBind", "host.addresses", "channels.open", "inbound.serve"]);

/** Every call that the use cases make on a port, in order, as `runtime.create`. A test may act at any of them. */
export class Steps {
  readonly taken: string[] = [];
  /** Called before a call is made; what it throws is the outcome of the call. */
  before: ((step: string, index: number) => void) | undefined;
  /** Called when an awaited call has succeeded; what it throws takes the place of the result. */
  after: ((step: string, index: number) => void) | undefined;

  /** The same port, with its calls noted under `name`. */
  watch<T extends object>(name: string, port: T): T {
    return new Proxy(port, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => this.#take(`${name}.${String(key)}`, () => Reflect.apply(member, target, args));
      },
    });
  }

  #take(step: string, call: () => unknown): unknown {
    const index = this.taken.push(step) - 1;
    try {
      this.before?.(step, index);
    } catch (error) {
      if (IMMEDIATE.has(step)) throw error;
      return Promise.reject(error);
    }
    const result = call();
    if (!(result instanceof Promise)) return result;
    return result.then((value) => {
      this.after?.(step, index);
      return value;
    });
  }
}

import { ExtData } from "@msgpack/msgpack";
import assert from "node:assert/strict";
import { errorReply, isBug, MethodNotFound, ParametersError, pythonRepr } from "../../adapters/rpc/error_reply.ts";
import { bindParameters, type Parameter } from "../../adapters/rpc/parameters.ts";
import * as errors from "../../domain/errors.ts";
import { COUNT } from "../../domain/resource/slots.ts";

const GIB = 1024n ** 3n;

/** What each failure is on the wire: added to, never renamed. */
const TRIPLES: readonly (readonly [Error, string, readonly string[], string?])[] = [
  [
    new errors.InvalidKernelId(),
    "builtins.ValueError",
    ["badly formed hexadecimal UUID string"],
    "ValueError('badly formed hexadecimal UUID string')",
  ],
  [
    new errors.InvalidField("config.image.digest", "a digest", 5),
    "builtins.ValueError",
    ['Cannot use "config.image.digest": expected a digest, got 5'],
  ],
  [
    new errors.KernelNotFound("k"),
    "builtins.KeyError",
    ['Cannot find kernel "k": it is not running on this agent'],
    `KeyError('Cannot find kernel "k": it is not running on this agent')`,
  ],
  [new errors.KernelExists("k"), "builtins.RuntimeError", ['Cannot create kernel "k": it exists already']],
  [new errors.KernelEnded("k"), "builtins.RuntimeError", ['Cannot go on with kernel "k": it has ended']],
  [new errors.CreationCancelled("k"), "builtins.RuntimeError", [
    'Cannot create kernel "k": it was destroyed meanwhile',
  ]],
  [new errors.UnknownRun("r"), "builtins.ValueError", ['Cannot continue run "r": there is no such run']],
  [new errors.TooManyRuns(8), "builtins.RuntimeError", ["Cannot queue another run: 8 runs wait already"]],
  [
    new errors.InsufficientSlots("cpu", "cpu", 2n * COUNT, COUNT / 2n),
    "ai.backend.agent.exception.InsufficientResource",
    ["DiscretePropertyAllocMap: insufficient allocatable amount!", "cpu", "cpu", "2", "0.5"],
    "InsufficientResource('DiscretePropertyAllocMap: insufficient allocatable amount!', 'cpu', 'cpu', '2', '0.5')",
  ],
  [
    new errors.InsufficientSlots("mem", "mem", 2n * GIB, GIB, "fraction"),
    "ai.backend.agent.exception.InsufficientResource",
    ["FractionAllocMap: insufficient allocatable amount!", "mem", "mem", "2147483648", "1073741824"],
  ],
  [
    new errors.UnknownSlot("cuda.device"),
    "builtins.KeyError",
    ['Cannot allocate slot "cuda.device": this agent has no such device'],
  ],
  [
    new errors.InsufficientPorts(4, 1),
    "builtins.RuntimeError",
    ["Container ports are not sufficiently available."],
    "RuntimeError('Container ports are not sufficiently available.')",
  ],
  [new errors.ImageNotFound("i"), "builtins.RuntimeError", ['Cannot find image "i" on this host']],
  [new errors.ImagePullFailed("i", "no"), "builtins.RuntimeError", ['Cannot pull image "i": no']],
  [new errors.ContainerNotFound("c"), "builtins.RuntimeError", ['Cannot find container "c"']],
  [new errors.RuntimeUnavailable("e"), "builtins.RuntimeError", ['Cannot reach the container engine at "e"']],
  [
    new errors.RuntimeFailed("start container", 500, "it's out\nof memory"),
    "aiodocker.exceptions.DockerError",
    [],
    `DockerError(500, "Cannot start container: the engine answered 500: it's out\\nof memory")`,
  ],
  [
    new errors.ConfigStoreUnavailable("read"),
    "builtins.RuntimeError",
    ["Cannot read: the configuration store does not answer"],
  ],
  [
    new errors.EventSinkUnavailable("publish"),
    "builtins.RuntimeError",
    ["Cannot publish: the event store does not answer"],
  ],
  [new errors.RunnerUnavailable("gone"), "builtins.RuntimeError", ["Cannot reach the kernel runner: gone"]],
  [new errors.DeadlineExceeded("restart", 30), "concurrent.futures._base.TimeoutError", [], "TimeoutError()"],
  [
    new errors.NotSupported("start_service"),
    "builtins.NotImplementedError",
    ['Cannot serve "start_service": this version of the agent does not support it'],
  ],
  [new errors.AgentStopping(), "builtins.RuntimeError", ["Cannot start anything new: the agent is stopping"]],
  [new errors.StartFailed("x"), "builtins.RuntimeError", ["Cannot start the agent: x"]],
  [
    new MethodNotFound("clean"),
    "aiozmq.rpc.base.NotFoundError",
    ["clean"],
    "NotFoundError('clean')",
  ],
  [
    new ParametersError(`TypeError("missing a required argument: 'kernel_id'")`),
    "aiozmq.rpc.base.ParametersError",
    [`TypeError("missing a required argument: 'kernel_id'")`],
    String.raw`ParametersError('TypeError("missing a required argument: \'kernel_id\'")')`,
  ],
];

Deno.test("[01-6] errorReply() gives the class, arguments and text that managers know", () => {
  for (const [error, name, args, repr] of TRIPLES) {
    const [actualName, actualArgs, actualRepr] = errorReply(error);
    assert.deepEqual([actualName, actualArgs], [name, args]);
    if (repr !== undefined) assert.equal(actualRepr, repr);
    assert.equal(typeof actualRepr, "string");
    assert.equal(isBug(error), false);
  }
});

Deno.test("[01-6.2] errorReply() has a row for every error class, and no class that breaks a manager's client", () => {
  const seen = new Set(TRIPLES.map(([error]) => error.constructor));
  for (const candidate of Object.values(errors)) {
    if (candidate === errors.AgentError) continue;
    assert.ok(typeof candidate !== "function" || seen.has(candidate), `${candidate}`);
  }
  const breaking = /Unicode\w+Error|StopIteration|CancelledError|IncompleteReadError|asyncio\.exceptions/;
  for (const [error] of TRIPLES) assert.doesNotMatch(errorReply(error)[0], breaking);
});

Deno.test("errorReply() keeps the detail of a bug to itself", () => {
  for (const bug of [new TypeError("secret"), "secret", undefined, new DOMException("secret", "AbortError")]) {
    const [name, args, repr] = errorReply(bug);
    assert.equal(name, "builtins.RuntimeError");
    assert.doesNotMatch(`${args} ${repr}`, /secret/);
    assert.equal(isBug(bug), true);
  }
});

Deno.test("errorReply() writes only text that UTF-8 can carry", () => {
  for (
    const error of [new errors.KernelNotFound("\ud800"), new MethodNotFound("\udc00"), new ParametersError("\ud800")]
  ) {
    const [, args, repr] = errorReply(error);
    for (const text of [...args, repr]) assert.ok(String(text).isWellFormed());
  }
});

Deno.test("pythonRepr() quotes like Python", () => {
  const cases: readonly [string, string][] = [
    ["", "''"],
    ["it's", `"it's"`],
    [`"`, `'"'`],
    [`"'`, String.raw`'"\''`],
    ["a\\b", String.raw`'a\\b'`],
    ["\n\r\t\0\x7f", String.raw`'\n\r\t\x00\x7f'`],
    ["é日本", "'é日本'"],
  ];
  for (const [text, repr] of cases) assert.equal(pythonRepr(text), repr);
});

const PARAMETERS: readonly Parameter[] = [
  { name: "kernel_id", type: "str" },
  { name: "config", type: "dict" },
  { name: "reason", type: "str", optional: true },
];

Deno.test("[01-4] bindParameters() binds by position and by name", () => {
  const config = { a: 1 };
  const cases: readonly [readonly unknown[], Record<string, unknown>, readonly unknown[]][] = [
    [["k", config], {}, ["k", config, undefined]],
    [["k"], { config }, ["k", config, undefined]],
    [[], { reason: "r", config, kernel_id: "k" }, ["k", config, "r"]],
    [["k", config, null], {}, ["k", config, undefined]],
    [["k", config], { reason: null }, ["k", config, undefined]],
    [[5, config, 10n], {}, ["5", config, "10"]],
  ];
  for (const [args, kwargs, bound] of cases) {
    assert.deepEqual(bindParameters(PARAMETERS, { method: "m", args, kwargs }), bound);
  }
});

Deno.test("[01-4, 01-5] bindParameters() refuses with Python's words", () => {
  const cases: readonly [readonly unknown[], Record<string, unknown>, string][] = [
    [[], {}, `TypeError("missing a required argument: 'kernel_id'")`],
    [["k"], { reason: "r" }, `TypeError("missing a required argument: 'config'")`],
    [["k", {}, "r", 1], {}, `TypeError('too many positional arguments')`],
    [["k", {}], { wrong: 1 }, `TypeError("got an unexpected keyword argument 'wrong'")`],
    [["k", {}], { toString: 1 }, `TypeError("got an unexpected keyword argument 'toString'")`],
    [["k", {}], { kernel_id: "k" }, `TypeError("multiple values for argument 'kernel_id'")`],
    [[null, {}], {}, `Invalid value for argument 'kernel_id': TypeError('expected str, got NoneType')`],
    [[["k"], {}], {}, `Invalid value for argument 'kernel_id': TypeError('expected str, got list')`],
    [[true, {}], {}, `Invalid value for argument 'kernel_id': TypeError('expected str, got bool')`],
    [[new Uint8Array(1), {}], {}, `Invalid value for argument 'kernel_id': TypeError('expected str, got bytes')`],
    [["k", null], {}, `Invalid value for argument 'config': TypeError('expected dict, got NoneType')`],
    [["k", 5], {}, `Invalid value for argument 'config': TypeError('expected dict, got int')`],
    [["k", 5.5], {}, `Invalid value for argument 'config': TypeError('expected dict, got float')`],
    [["k", [["a", 1]]], {}, `Invalid value for argument 'config': TypeError('expected dict, got list')`],
    [
      ["k", new ExtData(5, new Uint8Array(1))],
      {},
      `Invalid value for argument 'config': TypeError('expected dict, got ExtType')`,
    ],
    [["k", {}, {}], {}, `Invalid value for argument 'reason': TypeError('expected str, got dict')`],
  ];
  for (const [args, kwargs, message] of cases) {
    assert.throws(() => bindParameters(PARAMETERS, { method: "m", args, kwargs }), {
      name: "ParametersError",
      message,
    });
  }
});

Deno.test("[01-D9] bindParameters() takes bytes for bytes, and nothing else", () => {
  const parameters: readonly Parameter[] = [{ name: "data", type: "bytes" }, { name: "flag", type: "bool" }];
  const bind = (...args: unknown[]) => bindParameters(parameters, { method: "m", args, kwargs: {} });
  assert.deepEqual(bind(new Uint8Array(2), false), [new Uint8Array(2), false]);
  for (const data of [1_000_000_000, "text", [1, 2], null]) assert.throws(() => bind(data, true), ParametersError);
  for (const flag of ["false", 0, null]) assert.throws(() => bind(new Uint8Array(0), flag), ParametersError);
});

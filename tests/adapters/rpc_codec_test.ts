import { ExtData } from "@msgpack/msgpack";
import fc from "fast-check";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  type Call,
  decodeReply,
  decodeRequest,
  decodeValue,
  encodeReply,
  encodeRequest,
  encodeValue,
  type Reply,
} from "../../adapters/rpc/codec.ts";
import { MalformedMsgpack } from "../../adapters/rpc/msgpack_guard.ts";
import type { Frames } from "../../src/ports/message_sockets.ts";

// The circumstances of the examples of 01 §10
const CLIENT = { pid: 0x1234, nonce: 0xabcd };
const SERVER = { pid: 0x5678, nonce: 0x9abc };
const ASKED_MS = 1_571_200_000_500;
const ANSWERED_MS = 1_571_200_000_750;
const KERNEL = "5f3f2a7c-8f4e-4d2a-9a44-1f0b6c1e2d3a";
const KERNEL_BYTES = `d924${Buffer.from(KERNEL).toString("hex")}`;

interface Example {
  readonly section: string;
  readonly id: number;
  readonly call: Call;
  /** header, name, arguments, keyword arguments */
  readonly request: readonly [string, string, string, string];
  readonly reply: Reply;
  /** header, body */
  readonly answer: readonly [string, string];
}

const requestHeader = (id: string) => `3412cdab${id}00002000a769d741`;
const replyHeader = (id: string, flag: string) => `7856bc9a${id}00003000a769d741${flag}`;

const EXAMPLES: readonly Example[] = [
  {
    section: "10.1",
    id: 1,
    call: { method: "ping", args: ["hello"], kwargs: {} },
    request: [requestHeader("01000000"), "70696e67", "91a568656c6c6f", "80"],
    reply: { id: 1, ok: true, value: "hello" },
    answer: [replyHeader("01000000", "00"), "a568656c6c6f"],
  },
  {
    section: "10.2",
    id: 2,
    call: { method: "destroy_kernel", args: [KERNEL, "user-requested"], kwargs: {} },
    request: [
      requestHeader("02000000"),
      "64657374726f795f6b65726e656c",
      `92${KERNEL_BYTES}ae757365722d726571756573746564`,
      "80",
    ],
    reply: { id: 2, ok: true, value: null },
    answer: [replyHeader("02000000", "00"), "c0"],
  },
  {
    section: "10.3",
    id: 3,
    call: { method: "execute", args: [KERNEL, 3, "run-1", "query", "print(1)", {}, 2.5], kwargs: {} },
    request: [
      requestHeader("03000000"),
      "65786563757465",
      `97${KERNEL_BYTES}03a572756e2d31a57175657279a87072696e7428312980cb4004000000000000`,
      "80",
    ],
    reply: {
      id: 3,
      ok: true,
      value: {
        runId: "run-1",
        status: "finished",
        exitCode: 0,
        options: null,
        console: [["stdout", "1\n"]],
        files: [],
      },
    },
    answer: [
      replyHeader("03000000", "00"),
      "86a572756e4964a572756e2d31a6737461747573a866696e6973686564a865786974436f646500" +
      "a76f7074696f6e73c0a7636f6e736f6c659192a67374646f7574a2310aa566696c657390",
    ],
  },
  {
    section: "10.3, as the terminal stream sends it",
    id: 4,
    call: { method: "execute", args: [KERNEL, 3, null, "query", "%ping", {}, null], kwargs: {} },
    request: [
      requestHeader("04000000"),
      "65786563757465",
      `97${KERNEL_BYTES}03c0a57175657279a52570696e6780c0`,
      "80",
    ],
    reply: { id: 4, ok: true, value: null },
    answer: [replyHeader("04000000", "00"), "c0"],
  },
  {
    section: "10.4",
    id: 5,
    call: { method: "clean_all_kernels", args: ["manager-freeze-force-kill"], kwargs: {} },
    request: [
      requestHeader("05000000"),
      "636c65616e5f616c6c5f6b65726e656c73",
      "91b96d616e616765722d667265657a652d666f7263652d6b696c6c",
      "80",
    ],
    reply: {
      id: 5,
      ok: false,
      error: ["aiozmq.rpc.base.NotFoundError", ["clean_all_kernels"], "NotFoundError('clean_all_kernels')"],
    },
    answer: [
      replyHeader("05000000", "01"),
      "93bd61696f7a6d712e7270632e626173652e4e6f74466f756e644572726f7291b1636c65616e5f616c6c5f6b65726e656c73" +
      "d9224e6f74466f756e644572726f722827636c65616e5f616c6c5f6b65726e656c732729",
    ],
  },
  {
    section: "10.5",
    id: 6,
    call: { method: "get_logs", args: [], kwargs: {} },
    request: [requestHeader("06000000"), "6765745f6c6f6773", "90", "80"],
    reply: {
      id: 6,
      ok: false,
      error: [
        "aiozmq.rpc.base.ParametersError",
        [`TypeError("missing a required argument: 'kernel_id'")`],
        String.raw`ParametersError('TypeError("missing a required argument: \'kernel_id\'")')`,
      ],
    },
    answer: [
      replyHeader("06000000", "01"),
      "93bf61696f7a6d712e7270632e626173652e506172616d65746572734572726f72" +
      "91d935547970654572726f7228226d697373696e67206120726571756972656420617267756d656e743a20276b65726e656c5f6964272229" +
      "d94a506172616d65746572734572726f722827547970654572726f7228226d697373696e67206120726571756972656420617267756d656e74" +
      "3a205c276b65726e656c5f69645c2722292729",
    ],
  },
  {
    section: "10.6",
    id: 7,
    call: { method: "restart_kernel", args: [KERNEL, {}], kwargs: {} },
    request: [requestHeader("07000000"), "726573746172745f6b65726e656c", `92${KERNEL_BYTES}80`, "80"],
    reply: { id: 7, ok: false, error: ["concurrent.futures._base.TimeoutError", [], "TimeoutError()"] },
    answer: [
      replyHeader("07000000", "01"),
      "93d925636f6e63757272656e742e667574757265732e5f626173652e54696d656f75744572726f7290ae54696d656f75744572726f722829",
    ],
  },
  {
    section: "10.7",
    id: 8,
    call: { method: "create_kernel", args: [KERNEL, {}], kwargs: {} },
    request: [requestHeader("08000000"), "6372656174655f6b65726e656c", `92${KERNEL_BYTES}80`, "80"],
    reply: {
      id: 8,
      ok: false,
      error: [
        "builtins.RuntimeError",
        ["Container ports are not sufficiently available."],
        "RuntimeError('Container ports are not sufficiently available.')",
      ],
    },
    answer: [
      replyHeader("08000000", "01"),
      "93b56275696c74696e732e52756e74696d654572726f72" +
      "91d92f436f6e7461696e657220706f72747320617265206e6f742073756666696369656e746c7920617661696c61626c652e" +
      "d93f52756e74696d654572726f722827436f6e7461696e657220706f72747320617265206e6f742073756666696369656e746c7920617661" +
      "696c61626c652e2729",
    ],
  },
  {
    section: "10.8, upload",
    id: 9,
    call: { method: "upload_file", args: [KERNEL, "a.txt", Uint8Array.of(0x68, 0x69, 0x0a)], kwargs: {} },
    request: [
      requestHeader("09000000"),
      "75706c6f61645f66696c65",
      `93${KERNEL_BYTES}a5612e747874c40368690a`,
      "80",
    ],
    reply: { id: 9, ok: true, value: null },
    answer: [replyHeader("09000000", "00"), "c0"],
  },
  {
    section: "10.8, download",
    id: 10,
    call: { method: "download_file", args: [], kwargs: { kernel_id: KERNEL, filepath: "a.txt" } },
    request: [
      requestHeader("0a000000"),
      "646f776e6c6f61645f66696c65",
      "90",
      `82a96b65726e656c5f6964${KERNEL_BYTES}a866696c6570617468a5612e747874`,
    ],
    reply: { id: 10, ok: true, value: Uint8Array.of(0x61, 0x2e, 0x74) },
    answer: [replyHeader("0a000000", "00"), "c403612e74"],
  },
  {
    section: "10.9",
    id: 0xffff_fffe,
    call: { method: "create_kernel", args: [KERNEL, {}], kwargs: {} },
    request: [requestHeader("feffffff"), "6372656174655f6b65726e656c", `92${KERNEL_BYTES}80`, "80"],
    reply: {
      id: 0xffff_fffe,
      ok: true,
      value: {
        id: KERNEL,
        kernel_host: "10.0.0.5",
        repl_in_port: 30000,
        repl_out_port: 30001,
        stdin_port: 0,
        stdout_port: 0,
        service_ports: [{ name: "sshd", protocol: "tcp", container_ports: [2200], host_ports: [30002] }],
        container_id: "c0ffee",
      },
    },
    answer: [
      replyHeader("feffffff", "00"),
      `88a26964${KERNEL_BYTES}ab6b65726e656c5f686f7374a831302e302e302e35ac7265706c5f696e5f706f7274cd7530` +
      "ad7265706c5f6f75745f706f7274cd7531aa737464696e5f706f727400ab7374646f75745f706f727400" +
      "ad736572766963655f706f7274739184a46e616d65a473736864a870726f746f636f6ca3746370" +
      "af636f6e7461696e65725f706f72747391cd0898aa686f73745f706f72747391cd7532" +
      "ac636f6e7461696e65725f6964a6633066666565",
    ],
  },
];

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

function hexes(frames: Frames): string[] {
  return frames.map((frame) => Buffer.from(frame).toString("hex"));
}

for (const { section, id, call, request, reply, answer } of EXAMPLES) {
  Deno.test(`[01-${section}] the codec writes and reads these bytes`, () => {
    const identity = bytes("0012345678");
    assert.deepEqual(hexes(encodeRequest(call, id, CLIENT, ASKED_MS)), request);
    assert.deepEqual(decodeRequest([identity, ...request.map(bytes)]), { prefix: [identity], id, call, problem: "" });
    assert.deepEqual(hexes(encodeReply([identity], reply, SERVER, ANSWERED_MS)), ["0012345678", ...answer]);
    assert.deepEqual(decodeReply(answer.map(bytes)), reply);
  });
}

const FRAMES = EXAMPLES[0]?.request.map(bytes) ?? [];

Deno.test("[01-2.1] decodeRequest() keeps everything before the last four frames as prefix", () => {
  const prefix = ["00aabbccdd", "", "ff".repeat(300)].map(bytes);
  const request = decodeRequest([...prefix, ...FRAMES]);
  assert.deepEqual([request?.prefix, request?.id, request?.call?.method], [prefix, 1, "ping"]);
});

Deno.test("[01-D2] decodeRequest() gives the id of what it cannot read, and nothing without a header", () => {
  const identity = bytes("0012345678");
  const [header = bytes(""), name = bytes(""), args = bytes(""), kwargs = bytes("")] = FRAMES;
  const unreadable: readonly Frames[] = [
    [header],
    [header, name],
    [header, name, args],
    [header, bytes("ff"), args, kwargs],
    [header, name, bytes(""), kwargs],
    [header, name, bytes("91"), kwargs],
    [header, name, bytes("c1"), kwargs],
    [header, name, bytes("9090"), kwargs],
    [header, name, bytes("80"), kwargs],
    [header, name, bytes("c0"), kwargs],
    [header, name, bytes("91a1ff"), kwargs], // text that is not UTF-8
    [header, name, args, bytes("90")],
    [header, name, args, bytes("81a95f5f70726f746f5f5f80")], // __proto__
    [header, name, bytes("ddffffffff"), kwargs],
    [header, name, bytes("91".repeat(100) + "c0"), kwargs],
  ];
  for (const frames of unreadable) {
    const request = decodeRequest([identity, ...frames]);
    assert.deepEqual([request?.prefix, request?.id, request?.call], [[identity], 1, undefined], `${hexes(frames)}`);
    assert.notEqual(request?.problem, "");
  }
  for (const frames of [[], [bytes("00")], [name, args, kwargs], [bytes("00".repeat(17)), name, args, kwargs]]) {
    assert.equal(decodeRequest([identity, ...frames]), undefined);
  }
  assert.equal(decodeRequest([]), undefined);
});

Deno.test("[01-D8] decodeValue() refuses pickled Python objects, and passes other extension types as they are", () => {
  const pickle = "80049512000000000000008c05706f736978948c0673797374656d9493948c047472756594859452942e";
  for (const type of ["7b", "7c", "7d", "7e", "7f"]) {
    for (
      const data of [
        `d4${type}00`,
        `d8${type}${"00".repeat(16)}`,
        `c7${(pickle.length / 2).toString(16)}${type}${pickle}`,
      ]
    ) {
      for (const value of [data, `91${data}`, `81a161${data}`]) {
        assert.throws(() => decodeValue(bytes(value)), MalformedMsgpack, value);
      }
    }
  }
  assert.deepEqual(decodeValue(bytes("d40500")), new ExtData(5, bytes("00")));
  assert.deepEqual(decodeValue(bytes("c70280aabb")), new ExtData(-128, bytes("aabb")));
});

Deno.test("[01-3] encodeValue() tells text from binary and never writes an extension type", () => {
  assert.equal(Buffer.from(encodeValue("é".repeat(20))).toString("hex"), `d928${"c3a9".repeat(20)}`);
  assert.equal(Buffer.from(encodeValue(new Uint8Array(3))).toString("hex"), "c403000000");
  assert.equal(Buffer.from(encodeValue(2n ** 64n - 1n)).toString("hex"), `cf${"ff".repeat(8)}`);
  assert.equal(Buffer.from(encodeValue({ a: undefined, b: 1.5 })).toString("hex"), "81a162cb3ff8000000000000");
});

Deno.test("decodeValue() reads back what encodeValue() wrote", () => {
  const plain = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(null, true, false),
      fc.string({ unit: "binary" }).map((text) => text.toWellFormed()),
      fc.integer(),
      fc.double({ noDefaultInfinity: true, noNaN: true }).filter((number) => !Object.is(number, -0)),
      fc.uint8Array(),
      fc.array(tie("value")),
      fc.dictionary(fc.string().filter((key) => key !== "__proto__"), tie("value"), { noNullPrototype: true }),
    ),
  })).value;
  fc.assert(fc.property(plain, (value) => assert.deepEqual(decodeValue(encodeValue(value)), value)));
});

Deno.test("decodeValue() gives a value or MalformedMsgpack for any bytes, and never more than they can hold", () => {
  const check = (data: Uint8Array) => {
    try {
      decodeValue(data);
    } catch (error) {
      assert(error instanceof MalformedMsgpack, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check), { numRuns: 5_000 });
  assert.throws(() => decodeValue(bytes(`dd000186a0${"c0".repeat(100_000)}`)), MalformedMsgpack);
  assert.throws(() => decodeValue(bytes(`dc0200${`dc00c8${"c0".repeat(200)}`.repeat(512)}`)), MalformedMsgpack);
  assert.equal((decodeValue(bytes(`dd0001869f${"c0".repeat(99_999)}`)) as unknown[]).length, 99_999); // just an array
  const headers = ["dd", "df", "db", "c6", "c9", "dc", "de"].map((tag) => `${tag}ffffffff`);
  for (const claim of headers) {
    check(bytes(claim));
    check(bytes(claim + "00".repeat(1_000)));
    check(bytes(`dc00ff${claim.repeat(30)}`));
  }
});

Deno.test("decodeReply() ignores what is no reply", () => {
  const [header = bytes(""), body = bytes("")] = EXAMPLES[0]?.answer.map(bytes) ?? [];
  for (const frames of [[], [header], [body, header], [header, body, body]]) {
    assert.equal(decodeReply(frames), undefined);
  }
  assert.throws(() => decodeReply([header, bytes("c1")]), MalformedMsgpack);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import { parseContainerId, parseKernelId } from "../../domain/ids.ts";
import { environFile, kernelIdFile, resourceFile } from "../../domain/kernel/config_files.ts";
import { COUNT } from "../../domain/resource/slots.ts";

const CONTAINER = parseContainerId("4f".repeat(32));
const FACTS = {
  containerId: CONTAINER,
  slots: new Map([["cpu", 2n * COUNT], ["mem", 1n << 30n]]),
  allocation: new Map([["cpu", new Map([["0", COUNT], ["1", COUNT]])], ["mem", new Map([["root", 1n << 30n]])]]),
  mounts: ["/mnt/local/0123:/home/work/data:rw"],
  idleTimeoutS: 600,
};

Deno.test("kernelIdFile() is 32 hex digits without a newline", () => {
  assert.equal(kernelIdFile(parseKernelId("dbda8c0d-a5ff-4071-8d62-fb2faf0ec088")), "dbda8c0da5ff40718d62fb2faf0ec088");
});

Deno.test("environFile() is one line per variable, in order", () => {
  const environ = new Map([["MYVAR", "v 1"], ["EMPTY", ""], ["EQ", "a=b"], ["UTF8", "한글"]]);
  assert.equal(environFile(environ), "MYVAR=v 1\nEMPTY=\nEQ=a=b\nUTF8=한글\n");
});

Deno.test("[04-D14] environFile() never has a line that is not its own variable", () => {
  const environ = fc.uniqueArray(fc.tuple(fc.string(), fc.string()), { selector: ([name]) => name });
  fc.assert(fc.property(environ, (entries) => {
    try {
      const lines = environFile(new Map(entries)).split("\n");
      assert.equal(lines.pop(), "");
      const expected = entries.filter(([, value]) => !/[\r\n]/.test(value)).map(([name, value]) => `${name}=${value}`);
      assert.deepEqual(lines, expected);
    } catch (error) {
      assert.ok(error instanceof InvalidField);
    }
  }));
  assert.equal(environFile(new Map([["KEY", "a\nLD_PRELOAD=x"], ["B", "1"]])), "B=1\n");
  for (const name of ["", "A=B", "A\nB", "A\0"]) {
    assert.throws(() => environFile(new Map([[name, "x"]])), InvalidField, JSON.stringify(name));
  }
});

Deno.test("resourceFile() has the lines of 04 §5.2", () => {
  assert.equal(
    resourceFile(FACTS),
    [
      `CID=${CONTAINER}`,
      "SCRATCH_SIZE=0m",
      "MOUNTS=/mnt/local/0123:/home/work/data:rw",
      'SLOTS={"cpu": "2", "mem": "1073741824"}',
      "IDLE_TIMEOUT=600",
      "CPU_SHARES=0:1,1:1",
      "MEM_SHARES=root:1g",
      "",
    ].join("\n"),
  );
});

Deno.test("resourceFile() leaves the container id empty before there is one", () => {
  const text = resourceFile({ ...FACTS, containerId: undefined, mounts: [] });
  assert.ok(text.startsWith("CID=\nSCRATCH_SIZE=0m\nMOUNTS=\n"));
});

Deno.test("[04-D20] resourceFile() rounds no amount", () => {
  const allocation = new Map([
    ["mem", new Map([["root", 1_500_000_000n]])],
    ["cuda.shares", new Map([["0", 250_000n]])],
  ]);
  const text = resourceFile({ ...FACTS, allocation });
  assert.ok(text.endsWith("MEM_SHARES=root:1500000000\nCUDA.SHARES_SHARES=0:0.25\n"), text);
});

Deno.test("[04-D14] resourceFile() refuses a mount that could be read as two", () => {
  for (const mount of ["/a:b:/c:rw", "/a,/b:/c:rw", "/a\nCID=x:/c:rw", "/a:/c", "/a:/c:xx"]) {
    assert.throws(() => resourceFile({ ...FACTS, mounts: [mount] }), InvalidField, mount);
  }
});

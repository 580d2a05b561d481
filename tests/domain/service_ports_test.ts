import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import { INTRINSIC_SERVICES, parseServicePorts } from "../../domain/image/service_ports.ts";

Deno.test("[04-10.2] INTRINSIC_SERVICES are sshd and ttyd", () => {
  assert.deepEqual(INTRINSIC_SERVICES, [
    { name: "sshd", protocol: "tcp", containerPorts: [2200] },
    { name: "ttyd", protocol: "http", containerPorts: [7681] },
  ]);
});

Deno.test("[04-10.2] parseServicePorts() reads single ports and lists", () => {
  assert.deepEqual(parseServicePorts("jupyter:http:8080,jupyterlab:http:8090"), [
    { name: "jupyter", protocol: "http", containerPorts: [8080] },
    { name: "jupyterlab", protocol: "http", containerPorts: [8090] },
  ]);
  assert.deepEqual(parseServicePorts("a:tcp:[8000,8001],b:pty:3000,é_1:tcp:65535"), [
    { name: "a", protocol: "tcp", containerPorts: [8000, 8001] },
    { name: "b", protocol: "pty", containerPorts: [3000] },
    { name: "é_1", protocol: "tcp", containerPorts: [65535] },
  ]);
});

Deno.test("parseServicePorts() forgives blanks and empty parts, which the original drops services for", () => {
  const [a, b] = parseServicePorts(" a:tcp:[8000, 8001] ,, b:tcp:8002,");
  assert.deepEqual([a?.containerPorts, b?.containerPorts], [[8000, 8001], [8002]]);
  for (const empty of ["", " ", ","]) assert.deepEqual(parseServicePorts(empty), []);
});

Deno.test("[04-D28] parseServicePorts() reports a part that does not match the grammar", () => {
  const bad = [
    "a",
    "a:tcp",
    "a-b:tcp:8000",
    "a:tcp:[]",
    "a:tcp:[8000",
    "a:tcp:8000]",
    "a:tcp:[8000,]",
    "a:tcp:x",
    "a:udp:8000",
  ];
  for (const part of [...bad, "a:TCP:8000", "a:tcp:8000:1", "a b:tcp:8000"]) {
    assert.throws(() => parseServicePorts(`ok:tcp:9000,${part}`), InvalidField, part);
  }
});

Deno.test("[04-D27] parseServicePorts() refuses ports of the runner, of intrinsic services, out of range and repeated", () => {
  for (const port of [0, 80, 1024, 2000, 2001, 2002, 2003, 2200, 7681, 65536, 99999999999]) {
    assert.throws(() => parseServicePorts(`a:tcp:${port}`), InvalidField, String(port));
  }
  for (const label of ["a:tcp:[8000,8000]", "a:tcp:8000,b:http:8000"]) {
    assert.throws(() => parseServicePorts(label), InvalidField, label);
  }
});

Deno.test("parseServicePorts() reads back any services", () => {
  const port = fc.integer({ min: 1025, max: 65535 }).filter((port) =>
    ![2000, 2001, 2002, 2003, 2200, 7681].includes(port)
  );
  const ports = fc.uniqueArray(port, { minLength: 1, maxLength: 8 });
  const names = fc.array(fc.stringMatching(/^\w{1,12}$/), { minLength: 8, maxLength: 8 });
  const protocol = fc.constantFrom("tcp" as const, "http" as const, "pty" as const);
  fc.assert(fc.property(ports, names, protocol, fc.integer({ min: 1, max: 8 }), (ports, names, protocol, groupSize) => {
    const services = [];
    for (let at = 0; at < ports.length; at += groupSize) {
      services.push({ name: names[at] ?? "", protocol, containerPorts: ports.slice(at, at + groupSize) });
    }
    const label = services.map(({ name, containerPorts: [only, ...more] }) =>
      `${name}:${protocol}:${more.length === 0 ? only : `[${[only, ...more].join(",")}]`}`
    );
    assert.deepEqual(parseServicePorts(label.join(",")), services);
  }));
});

Deno.test("parseServicePorts() gives services or InvalidField for any text", () => {
  const text = fc.string({ unit: fc.constantFrom(..."a1:,[] tcphy80") });
  fc.assert(fc.property(text, (label) => {
    try {
      for (const { containerPorts } of parseServicePorts(label)) assert.ok(containerPorts.length > 0);
    } catch (error) {
      assert.ok(error instanceof InvalidField);
    }
  }));
});

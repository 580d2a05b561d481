import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import { addressInSubnet } from "../../domain/net/address.ts";

const CASES: [address: string, subnet: string, expected: boolean][] = [
  ["10.1.2.3", "10.0.0.0/8", true],
  ["11.1.2.3", "10.0.0.0/8", false],
  ["192.168.1.130", "192.168.1.128/25", true],
  ["192.168.1.127", "192.168.1.128/25", false],
  ["192.168.1.1", "192.168.1.77/24", true], // host bits set
  ["1.2.3.4", "0.0.0.0/0", true],
  ["1.2.3.4", "1.2.3.4/32", true],
  ["fd00::1", "fd00::/8", true],
  ["fe80::1%eth0", "fe80::/10", true],
  ["2001:db8::1", "2001:db8:1::/48", false],
  ["::ffff:10.0.0.1", "::ffff:a00:0/104", true],
  ["10.0.0.1", "::/0", false],
  ["::1", "0.0.0.0/0", false],
  ["localhost", "0.0.0.0/0", false],
  ["10.0.0.256", "0.0.0.0/0", false],
  ["1:2:3:4:5:6:7:8:9", "::/0", false],
  ["1::2::3", "::/0", false],
];
for (const [address, subnet, expected] of CASES) {
  Deno.test(`addressInSubnet() ${address} in ${subnet} is ${expected}`, () => {
    assert.equal(addressInSubnet(address, subnet), expected);
  });
}

Deno.test("addressInSubnet() refuses what is no subnet", () => {
  for (const subnet of ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x/8", "10.0.0.0/-1"]) {
    assert.throws(() => addressInSubnet("10.0.0.1", subnet), InvalidField, subnet);
  }
});

Deno.test("addressInSubnet() finds an address in every subnet that is cut from it", () => {
  fc.assert(fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), (address, length) => {
    assert.equal(addressInSubnet(address, `${address}/${length}`), true);
  }));
  fc.assert(fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), (address, length) => {
    assert.equal(addressInSubnet(address, `${address}/${length}`), true);
  }));
});

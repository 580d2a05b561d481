import assert from "node:assert/strict";
import fc from "fast-check";
import { InvalidField } from "../../domain/errors.ts";
import { imageTraits } from "../../domain/image/labels.ts";

Deno.test("[04-6.2] imageTraits() reads the labels of an image", () => {
  const labels = new Map([
    ["ai.backend.kernelspec", "1"],
    ["ai.backend.features", "batch query uid-match user-input"],
    ["ai.backend.base-distro", "ubuntu18.04"],
    ["ai.backend.envs.corecount", "OMP_NUM_THREADS,NPROC"],
    ["ai.backend.runtime-type", "lua"],
    ["ai.backend.runtime-path", "/usr/bin/lua"],
  ]);
  assert.deepEqual(imageTraits(labels), {
    kernelSpecVersion: 1,
    features: new Set(["batch", "query", "uid-match", "user-input"]),
    corecountVariables: ["OMP_NUM_THREADS", "NPROC"],
    runtimeType: "lua",
    runtimePath: "/usr/bin/lua",
    baseDistro: "ubuntu18.04",
  });
});

Deno.test("[04-6.2] imageTraits() has the defaults for absent and empty labels", () => {
  const defaults = {
    kernelSpecVersion: 1,
    features: new Set(),
    corecountVariables: [],
    runtimeType: "python",
    runtimePath: undefined,
    baseDistro: "ubuntu16.04",
  };
  const names = ["kernelspec", "features", "envs.corecount", "runtime-type", "runtime-path", "base-distro"];
  assert.deepEqual(imageTraits(new Map()), defaults);
  assert.deepEqual(imageTraits(new Map(names.map((name) => [`ai.backend.${name}`, " "]))), defaults);
});

Deno.test("[04-3] imageTraits() throws InvalidField for a kernel spec version that is no whole number", () => {
  for (const text of ["one", "-1", "1.5", "1e3", "9".repeat(20)]) {
    assert.throws(() => imageTraits(new Map([["ai.backend.kernelspec", text]])), InvalidField);
  }
});

Deno.test("imageTraits() throws InvalidField naming a label that could not be used", () => {
  for (
    const [label, text] of [["runtime-type", "--rehearse"], ["envs.corecount", "A=B"], ["envs.corecount", "A,B\nC"]]
  ) {
    assert.throws(
      () => imageTraits(new Map([[`ai.backend.${label}`, text ?? ""]])),
      (error) => error instanceof InvalidField && error.field === `ai.backend.${label}`,
    );
  }
});

Deno.test("imageTraits() has no empty feature and no empty variable", () => {
  const names = fc.string().filter((text) => !/[=\0\r\n]/.test(text));
  fc.assert(fc.property(fc.string(), names, (features, variables) => {
    const labels = new Map([["ai.backend.features", features], ["ai.backend.envs.corecount", variables]]);
    const traits = imageTraits(labels);
    assert.ok([...traits.features].every((feature) => /^\S+$/.test(feature)));
    assert.ok(traits.corecountVariables.every((name) => name.trim() === name && name !== "" && !name.includes(",")));
  }));
});

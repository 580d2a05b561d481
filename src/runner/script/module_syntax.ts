import { type AnyNode, parse } from "acorn";

/**
 * Turns the parts of a module that a script cannot have into what a script can: `import` and `export` declarations, and
 * relative specifiers, which are resolved against `base` because a script has no place of its own. Line numbers stay.
 * Code that cannot be parsed comes back as it is: evaluating it will name the error.
 */
export function moduleToScript(code: string, base: string): string {
  if (!/\b(?:import|export)\b/.test(code)) return code;
  let program: AnyNode;
  try {
    program = parse(code, {
      ecmaVersion: "latest",
      sourceType: "module",
      allowAwaitOutsideFunction: true,
      allowReturnOutsideFunction: true,
      allowHashBang: true,
    });
  } catch {
    return code;
  }
  const edits: Edit[] = [];
  visit(program, (node) => {
    const edit = editOf(node, code, base);
    if (edit !== undefined) edits.push(...edit);
  });
  return apply(code, edits);
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

function editOf(node: AnyNode, code: string, base: string): Edit[] | undefined {
  switch (node.type) {
    case "ImportDeclaration":
      return [replace(node, code, importText(node, code, base))];
    case "ImportExpression":
      return [{ start: node.source.start, end: node.source.end, text: specifierText(node.source, code, base) }];
    case "ExportAllDeclaration":
      return [replace(node, code, `void (${loadText(node, code, base)});`)];
    case "ExportNamedDeclaration":
      if (node.declaration) return [{ start: node.start, end: node.declaration.start, text: "" }];
      return [replace(node, code, node.source ? `void (${loadText(node, code, base)});` : ";")];
    case "ExportDefaultDeclaration": {
      const { declaration } = node;
      const named = /^(?:Function|Class)Declaration$/.test(declaration.type) && "id" in declaration && declaration.id;
      if (named) return [{ start: node.start, end: declaration.start, text: "" }];
      return [
        { start: node.start, end: declaration.start, text: "(" },
        { start: declaration.end, end: declaration.end, text: ");" },
      ];
    }
    default:
      return undefined;
  }
}

type ImportDeclaration = Extract<AnyNode, { type: "ImportDeclaration" }>;
type WithSource = Extract<
  AnyNode,
  { type: "ImportDeclaration" | "ExportAllDeclaration" | "ExportNamedDeclaration" }
>;

function importText(node: ImportDeclaration, code: string, base: string): string {
  const load = loadText(node, code, base);
  const named: string[] = [];
  let namespace: string | undefined;
  for (const specifier of node.specifiers) {
    if (specifier.type === "ImportNamespaceSpecifier") namespace = specifier.local.name;
    else if (specifier.type === "ImportDefaultSpecifier") named.push(`default: ${specifier.local.name}`);
    else named.push(`${code.slice(specifier.imported.start, specifier.imported.end)}: ${specifier.local.name}`);
  }
  if (node.specifiers.length === 0) return `void (${load});`;
  if (namespace === undefined) return `const { ${named.join(", ")} } = ${load};`;
  const rest = named.length === 0 ? "" : `, { ${named.join(", ")} } = ${namespace}`;
  return `const ${namespace} = ${load}${rest};`;
}

function loadText(node: WithSource, code: string, base: string): string {
  const source = node.source ? specifierText(node.source, code, base) : '""';
  const attributes = node.attributes.map((one) =>
    `${code.slice(one.key.start, one.key.end)}: ${code.slice(one.value.start, one.value.end)}`
  );
  return `await import(${source}${attributes.length === 0 ? "" : `, { with: { ${attributes.join(", ")} } }`})`;
}

function specifierText(source: AnyNode, code: string, base: string): string {
  if (source.type === "Literal") {
    const value = source.value;
    if (typeof value !== "string" || !/^\.{0,2}\//.test(value)) return code.slice(source.start, source.end);
    return JSON.stringify(new URL(value, base).href);
  }
  const resolve = `((s) => typeof s === "string" && /^\\.{0,2}\\//.test(s) ? new URL(s, ${
    JSON.stringify(base)
  }).href : s)`;
  return `${resolve}(${code.slice(source.start, source.end)})`;
}

/** `text` in the place of `node`, on as many lines as before. */
function replace(node: AnyNode, code: string, text: string): Edit {
  const lines = code.slice(node.start, node.end).split("\n").length - 1;
  return { start: node.start, end: node.end, text: text + "\n".repeat(lines) };
}

function visit(node: AnyNode, act: (node: AnyNode) => void): void {
  act(node);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) visit(child, act);
    }
  }
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

function apply(code: string, edits: Edit[]): string {
  let text = code;
  for (const { start, end, text: by } of edits.sort((a, b) => b.start - a.start)) {
    text = text.slice(0, start) + by + text.slice(end);
  }
  return text;
}

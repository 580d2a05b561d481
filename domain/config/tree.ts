/** Values by path component; a key's own value beside children stands under `""`. Source: 03 §2.3. */
export type Tree = { readonly [name: string]: string | Tree };

interface Node {
  value?: string;
  readonly children: Map<string, Node>;
}

/** Nests values by the components of their `/`-separated paths. Of equal paths the last one wins. */
export function buildTree(entries: Iterable<readonly [path: string, value: string]>): Tree {
  const root: Node = { children: new Map() };
  for (const [path, value] of entries) {
    let node = root;
    for (const name of path.split("/")) node = childOf(node, name);
    node.value = value;
  }
  return toTree(root);
}

function childOf(node: Node, name: string): Node {
  const known = node.children.get(name);
  if (known !== undefined) return known;
  const made: Node = { children: new Map() };
  node.children.set(name, made);
  return made;
}

function toTree(node: Node): Tree {
  const entries: [string, string | Tree][] = [];
  if (node.value !== undefined) entries.push(["", node.value]);
  for (const [name, child] of node.children) {
    const leaf = child.children.size === 0 ? child.value : undefined;
    entries.push([name, leaf ?? toTree(child)]);
  }
  return Object.fromEntries(entries); // defines own properties, also for a component named "__proto__"
}

/**
 * The path of `key` below `prefix`, cut at a component boundary: `""` for the prefix itself, undefined for a neighbour
 * such as `config/redis2` of `config/redis` (03-D3).
 */
export function pathBelow(prefix: string, key: string): string | undefined {
  if (prefix === "") return key;
  if (key === prefix) return "";
  return key.startsWith(`${prefix}/`) ? key.slice(prefix.length + 1) : undefined;
}

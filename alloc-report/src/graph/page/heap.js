// The data of the page: who retains what as a tree, and the rows of the tables.

// What a row of a table stands for, and what else its parts are called.
const BY = { type: 'Type', line: 'Line', root: 'Root' };

const FROM = ['made in my code', 'in a dependency', 'in the standard library', 'elsewhere', 'root', 'nothing: leaked'];

function formatBlocks(blocks) { return `${formatCount(blocks)} ${blocks === 1 ? 'block' : 'blocks'}`; }

class Heap {
  constructor(raw) {
    const { about, strings, whys, lists } = raw;
    Object.assign(this, { about, strings, whys, lists });
    this.tables = { type: raw.types, line: raw.lines, root: raw.roots };
    this.tree = new HeapTree(raw.tree, raw.labels, strings);
    const retained = this.tree.inclusive(Float64Array.from(raw.tree.bytes));
    this.sums = { width: retained, now: retained, before: null };
    this.blocks = this.tree.inclusive(Float64Array.from(raw.tree.blocks));
  }

  rows(by) { return this.tables[by].rows; }

  // The table and the row of a node: of the table that is shown, if it has one. The row is -1 if none has.
  rowOf(node, by) {
    const label = this.tree.label(node);
    const of = [by, 'type', 'line', 'root'].find(it => label[it] !== null);
    return of ? { by: of, selected: label[of] } : { by, selected: -1 };
  }

  // The keys of the tree and the rows of a table that have a text; null without one.
  search(by, text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return { keys: null, rows: null };
    const has = name => this.strings[name].toLowerCase().includes(wanted);
    return {
      keys: Uint8Array.from(this.tree.labels, label => has(label.name) || has(label.place) ? 1 : 0),
      rows: row => has(row.name) || [row.made, row.held].some(parts => parts.largest.some(([name]) => has(name))),
    };
  }

  // What the blocks of a row lead to that only they hold: keys of the tree and bytes, the most first.
  below(by, row) {
    const { tree } = this, { parent, key, labels } = tree, sums = new Map();
    const isWithin = new Uint8Array(parent.length);
    for (let node = 1; node < parent.length; node++) {
      const above = parent[node], isOfRow = labels[key[node]][by] === row;
      isWithin[node] = isWithin[above] || isOfRow ? 1 : 0;
      const isOutermost = labels[key[above]][by] === row && !(above !== 0 && isWithin[parent[above]]);
      if (isOutermost && !isOfRow) sums.set(key[node], (sums.get(key[node]) ?? 0) + this.sums.width[node]);
    }
    return [...sums].sort((a, b) => b[1] - a[1]);
  }
}

// The tree of nodes that the graph draws.
class HeapTree extends OrderedTree {
  constructor({ parent, key }, labels, strings) {
    super();
    Object.assign(this, { parent: Int32Array.from(parent), key: Int32Array.from(key), labels, strings });
    this.order();
  }

  label(node) { return this.labels[this.key[node]]; }

  name(node) { return `${this.whole(node)}  ${this.place(node)}`.trim(); }

  whole(node) { return this.strings[this.label(node).name]; }

  place(node) { return this.strings[this.label(node).place]; }

  origin(node) { return this.label(node).origin; }
}

// The tree that the graph draws: stacks at the level of a view, merged.

// Nodes that are found by their parent and key: a hash table of numbers, which is ten times as fast as a Map.
class Nodes {
  constructor() {
    this.count = 1;
    this.parent = new Int32Array(1024);
    this.key = new Int32Array(1024).fill(-1, 0, 1);
    this.slots = new Int32Array(4096);
  }

  static place(parent, key, mask) {
    let hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(key + 1, 0x85ebca6b);
    hash = Math.imul(hash ^ hash >>> 15, 0xc2b2ae35);
    return (hash ^ hash >>> 13) & mask;
  }

  // The child of a node with a key, added if it is new.
  child(parent, key) {
    const mask = this.slots.length - 1;
    let place = Nodes.place(parent, key, mask), node;
    while ((node = this.slots[place]) !== 0) {
      if (this.parent[node] === parent && this.key[node] === key) return node;
      place = place + 1 & mask;
    }
    node = this.count++;
    if (node === this.parent.length) this.grow();
    this.parent[node] = parent;
    this.key[node] = key;
    this.slots[place] = node;
    if (this.count * 2 > this.slots.length) this.rehash();
    return node;
  }

  grow() {
    for (const name of ['parent', 'key']) {
      const larger = new Int32Array(this[name].length * 2);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  rehash() {
    this.slots = new Int32Array(this.slots.length * 4);
    const mask = this.slots.length - 1;
    for (let node = 1; node < this.count; node++) {
      let place = Nodes.place(this.parent[node], this.key[node], mask);
      while (this.slots[place] !== 0) place = place + 1 & mask;
      this.slots[place] = node;
    }
  }
}

// A tree has, for each node, its parent (which comes before it) and its key; and for each callsite its node.
class Tree extends OrderedTree {
  constructor(data, { by, frames, inverted }) {
    super();
    const tag = ['type', 'label', 'thread'].includes(by) ? by : null;
    const level = ['function', 'module', 'crate'].includes(by) ? by : tag ? 'function' : 'line';
    this.keys = data.keys(level);
    this.tag = tag ? data.tagKeys(tag) : null;
    this.frameKeys = this.keys.names.length;
    this.nodes = new Nodes();
    this.leaf = new Int32Array(data.callsites);
    if (inverted) this.addInverted(data, frames);
    else if (tag) this.addTagged(data, frames);
    else this.addStacks(data, frames, level);
    this.parent = this.nodes.parent.slice(0, this.nodes.count);
    this.key = this.nodes.key.slice(0, this.nodes.count);
    this.nodes = null;
    this.order();
  }

  static of(data, view) {
    return data.once(`tree ${view.by} ${view.frames} ${view.inverted}`, () => new Tree(data, view));
  }

  // The child of a node with a key. A callee with its caller's key is the same node.
  child(node, key) { return this.nodes.key[node] === key ? node : this.nodes.child(node, key); }

  // The key for callsites without a frame of the workspace.
  get outside() { return this.frameKeys + (this.tag ? this.tag.names.length : 0); }

  addStacks(data, frames, level) {
    const at = new Int32Array(data.parent.length), { origin } = data.frames, { of } = this.keys;
    const isRuntime = new Uint8Array(at.length);
    isRuntime[0] = 1;
    for (let node = 1; node < at.length; node++) {
      const frame = data.frame[node], above = data.parent[node];
      const isHidden = frames === 'mine' ? origin[frame] !== MINE
        : frames === 'relevant' && isRuntime[above] === 1 && origin[frame] === STD;
      if (frames === 'relevant' && isHidden) isRuntime[node] = 1;
      at[node] = isHidden ? at[above] : -1;
      if (!isHidden) at[node] = level === 'line' ? this.nodes.child(at[above], of[frame]) : this.child(at[above], of[frame]);
    }
    const end = frames === 'all' ? data.node : data.owners(frames).node;
    for (let callsite = 0; callsite < data.callsites; callsite++) {
      const node = at[end[callsite]];
      this.leaf[callsite] = node === 0 ? this.child(0, frames === 'mine' ? this.outside : of[data.charged[callsite]]) : node;
    }
  }

  // The frames of a callsite that a view shows, the innermost first.
  shown(data, frames, callsite) {
    const { origin } = data.frames, stack = [];
    const end = frames === 'all' ? data.node[callsite] : data.owners(frames).node[callsite];
    for (let at = end; at !== 0; at = data.parent[at]) {
      if (frames !== 'mine' || origin[data.frame[at]] === MINE) stack.push(data.frame[at]);
    }
    if (frames === 'relevant') while (stack.length > 1 && origin[stack[stack.length - 1]] === STD) stack.pop();
    return stack;
  }

  addTagged(data, frames) {
    const known = new Map();
    for (let callsite = 0; callsite < data.callsites; callsite++) {
      const top = this.top(callsite), id = top * 67108864 + data.node[callsite];
      let node = known.get(id);
      if (node === undefined) {
        const stack = this.shown(data, frames, callsite);
        node = top;
        for (let at = stack.length - 1; at >= 0; at--) node = this.child(node, this.keys.of[stack[at]]);
        if (!stack.length) node = this.child(node, this.outside);
        known.set(id, node);
      }
      this.leaf[callsite] = node;
    }
  }

  addInverted(data, frames) {
    const MOST = 128;
    for (let callsite = 0; callsite < data.callsites; callsite++) {
      const stack = this.shown(data, frames, callsite);
      let node = this.top(callsite);
      if (!stack.length) node = this.child(node, this.outside);
      for (let at = 0; at < stack.length && at < MOST; at++) node = this.child(node, this.keys.of[stack[at]]);
      this.leaf[callsite] = node;
    }
  }

  // The node of a callsite's tag, with those of the labels around it.
  top(callsite) {
    if (!this.tag) return 0;
    const path = [];
    for (let key = this.tag.of[callsite]; key >= 0; key = this.tag.parent[key]) path.push(key);
    return path.reduceRight((node, key) => this.child(node, this.frameKeys + key), 0);
  }

  name(node) { return node === 0 ? 'all' : this.ofKey(this.key[node], 'titles'); }

  whole(node) { return node === 0 ? 'all' : this.ofKey(this.key[node], 'names'); }

  place(node) { return node === 0 ? '' : this.ofKey(this.key[node], 'places'); }

  ofKey(key, column) {
    if (key < this.frameKeys) return this.keys[column][key];
    if (key < this.outside) return this.tag[column][key - this.frameKeys];
    return column === 'places' ? '' : '<no frame of my code>';
  }

  origin(node) {
    const key = this.key[node];
    return key >= 0 && key < this.frameKeys ? this.keys.origin[key] : UNKNOWN;
  }

  // Values of callsites summed over the nodes.
  sums(values) {
    const { parent, leaf } = this, sums = new Float64Array(parent.length);
    for (let callsite = 0; callsite < leaf.length; callsite++) sums[leaf[callsite]] += values[callsite];
    return this.inclusive(sums);
  }
}

// The tree that the graph draws: stacks at the level of a view, merged.

// A tree has, for each node, its parent (which comes before it) and its key; and for each callsite its node.
class Tree {
  constructor(data, { by, frames, inverted }) {
    const tag = ['type', 'label', 'thread'].includes(by) ? by : null;
    const level = ['function', 'module', 'crate'].includes(by) ? by : tag ? 'function' : 'line';
    this.keys = data.keys(level);
    this.tag = tag ? data.tagKeys(tag) : null;
    this.frameKeys = this.keys.names.length;
    this.parent = [0];
    this.key = [-1];
    this.leaf = new Int32Array(data.callsites);
    this.children = new Map();
    if (inverted) this.addInverted(data, frames);
    else if (tag) this.addTagged(data, frames);
    else this.addStacks(data, frames, level);
    this.children = null;
    this.order();
  }

  static of(data, view) {
    return data.once(`tree ${view.by} ${view.frames} ${view.inverted}`, () => new Tree(data, view));
  }

  // The child of a node with a key, added if it is new. A callee with its caller's key is the same node.
  child(node, key) {
    if (this.key[node] === key) return node;
    const id = node * 67108864 + key;
    let child = this.children.get(id);
    if (child === undefined) {
      child = this.parent.length;
      this.children.set(id, child);
      this.parent.push(node);
      this.key.push(key);
    }
    return child;
  }

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
      if (!isHidden) at[node] = level === 'line' ? this.line(at[above], of[frame]) : this.child(at[above], of[frame]);
    }
    const end = frames === 'all' ? data.node : data.owners(frames).node;
    for (let callsite = 0; callsite < data.callsites; callsite++) {
      const node = at[end[callsite]];
      this.leaf[callsite] = node === 0 ? this.child(0, frames === 'mine' ? this.outside : of[data.charged[callsite]]) : node;
    }
  }

  // As `child`, but recursion on a line is visible.
  line(node, key) {
    const id = node * 67108864 + key;
    let child = this.children.get(id);
    if (child === undefined) {
      child = this.parent.length;
      this.children.set(id, child);
      this.parent.push(node);
      this.key.push(key);
    }
    return child;
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

  // Lists the children of each node.
  order() {
    const { parent } = this, count = parent.length;
    this.first = new Int32Array(count + 1);
    for (let node = 1; node < count; node++) this.first[parent[node] + 1] += 1;
    for (let node = 0; node < count; node++) this.first[node + 1] += this.first[node];
    const next = this.first.slice();
    this.list = new Int32Array(Math.max(count - 1, 0));
    for (let node = 1; node < count; node++) this.list[next[parent[node]]++] = node;
  }

  childrenOf(node) { return this.list.subarray(this.first[node], this.first[node + 1]); }

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
    for (let node = sums.length - 1; node > 0; node--) sums[parent[node]] += sums[node];
    return sums;
  }
}

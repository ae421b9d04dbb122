// A tree as arrays: for each node its parent, which comes before it, and its key.

class OrderedTree {
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

  // Values of nodes, with those of all nodes below.
  inclusive(values) {
    for (let node = values.length - 1; node > 0; node--) values[this.parent[node]] += values[node];
    return values;
  }
}

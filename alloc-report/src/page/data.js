// The data of the page: a table of frames, a tree of stacks in preorder, and columns of callsites.

const ORIGINS = ['my code', 'dependencies', 'standard library', 'unknown'];
const MINE = 0, STD = 2, UNKNOWN = 3;

// Sums of differences.
function rising(differences) {
  const sums = new Int32Array(differences.length);
  for (let at = 0, sum = 0; at < sums.length; at++) sums[at] = sum += differences[at];
  return sums;
}

class Data {
  constructor(raw) {
    Object.assign(this, { about: raw.about, strings: raw.strings, lifetimes: raw.lifetimes, timeline: raw.timeline, residence: raw.residence });
    this.frames = raw.frames;
    this.frameCount = raw.frames.line.length;
    const { tree } = raw;
    this.parent = Int32Array.from(tree.parent, (back, node) => node - back);
    this.frame = Int32Array.from(tree.frame);
    this.node = rising(tree.node);
    this.charged = Int32Array.from(tree.charged);
    this.callsites = this.node.length;
    this.tags = { type: tree.type, label: tree.label, thread: tree.thread };
    this.sizeClass = tree.size_class;
    this.columns = new Map();
    for (const [side, columns] of [['now', raw.now], ['old', raw.old]]) {
      for (const metric of columns ? ['current', 'at_peak', 'peak', 'total', 'temporary'] : []) {
        for (const unit of ['bytes', 'blocks']) {
          const column = columns[metric][unit];
          if (column.length || !this.callsites) this.columns.set(`${side}.${metric}.${unit}`, Float64Array.from(column));
        }
      }
    }
    for (const side of ['now', 'old']) {
      for (const unit of ['bytes', 'blocks']) {
        const [total, current] = ['total', 'current'].map(metric => this.columns.get(`${side}.${metric}.${unit}`));
        if (total) this.columns.set(`${side}.freed.${unit}`, total.map((value, at) => Math.max(value - current[at], 0)));
      }
    }
    this.reallocations = Float64Array.from(raw.now.reallocations);
    this.copied = Float64Array.from(raw.now.copied);
    this.isCompared = raw.old !== null;
    this.moments = raw.moments.map(({ seconds, callsites, bytes, blocks }) => {
      const column = values => {
        const all = new Float64Array(this.callsites);
        callsites.forEach((callsite, at) => { all[callsite] += values[at]; });
        return all;
      };
      return { seconds, bytes: column(bytes), blocks: column(blocks) };
    });
    this.hasMine = this.frames.origin.includes(MINE);
    this.cache = new Map();
  }

  // Computes once what a view needs again.
  once(name, compute) {
    if (!this.cache.has(name)) this.cache.set(name, compute());
    return this.cache.get(name);
  }

  has(metric) {
    const { about } = this;
    if (metric === 'growth') return this.isCompared;
    if (metric === 'temporary') return this.columns.has('now.temporary.bytes');
    const needed = metric === 'freed' ? ['total', 'current'] : [metric];
    return !needed.some(it => about.unknown.includes(it));
  }

  // What a view shows of each callsite: now, before (or null), and the width in the graph, which is never
  // negative, so that what shrank is visible, too.
  values({ metric, unit, from, to }) {
    return this.once(`values ${metric} ${unit} ${from} ${to}`, () => {
      let now, before = null;
      if (to !== null) {
        now = this.moments[to][unit];
        before = from === null ? null : this.moments[from][unit];
      } else if (metric === 'growth') {
        [now, before] = ['now', 'old'].map(side => this.columns.get(`${side}.current.${unit}`));
      } else {
        now = this.columns.get(`now.${metric}.${unit}`);
        before = this.columns.get(`old.${metric}.${unit}`) ?? null;
      }
      const isGrowth = metric === 'growth' && to === null || to !== null && from !== null;
      const width = !before ? now : isGrowth
        ? now.map((value, at) => Math.abs(value - before[at]))
        : now.map((value, at) => Math.max(value, before[at]));
      return { now, before, width, isGrowth };
    });
  }

  // Keys of frames at a level: the key of each frame, and the names and origins of keys.
  keys(level) {
    return this.once(`keys ${level}`, () => {
      const { frames, strings } = this;
      const of = new Int32Array(this.frameCount), keys = { of, names: [], titles: [], places: [], origin: [], frame: [] };
      const known = new Map();
      for (let frame = 0; frame < of.length; frame++) {
        const file = strings[frames.file[frame]], line = frames.line[frame];
        const place = file ? (line ? `${file}:${line}` : file) : '';
        const whole = strings[frames.function[frame]], short = strings[frames.short[frame]];
        const [name, title] = level === 'line' ? [place || short, place ? `${short}  ${place}` : short]
          : level === 'function' ? [whole, short]
          : level === 'module' ? [strings[frames.module[frame]], strings[frames.module[frame]]]
          : [strings[frames.crate[frame]], strings[frames.crate[frame]]];
        // Lines of one number in two functions, as of macros, are one line.
        const id = level === 'function' ? `${whole}\n${file}` : name;
        let key = known.get(id);
        if (key === undefined) {
          key = keys.names.length;
          known.set(id, key);
          keys.names.push(name);
          keys.titles.push(level === 'line' ? `${short}  ${place}`.trim() : title);
          keys.places.push(level === 'line' ? short : place);
          keys.origin.push(frames.origin[frame]);
          keys.frame.push(frame);
        }
        of[frame] = key;
      }
      return keys;
    });
  }

  // Keys of a tag of callsites: type, label or thread. A label's path has those around it as parents.
  tagKeys(tag) {
    return this.once(`tag ${tag}`, () => {
      const none = { type: '<unknown>', label: '<no label>', thread: '<thread not recorded>' }[tag];
      const keys = { of: new Int32Array(this.callsites), names: [], titles: [], places: [], origin: [], frame: [], parent: [] };
      const known = new Map();
      const keyOf = name => {
        if (!known.has(name)) {
          const cut = tag === 'label' ? name.lastIndexOf(' > ') : -1;
          const parent = cut < 0 ? -1 : keyOf(name.slice(0, cut));
          known.set(name, keys.names.length);
          keys.names.push(name);
          keys.titles.push(cut < 0 ? name : name.slice(cut + 3));
          keys.places.push('');
          keys.origin.push(UNKNOWN);
          keys.frame.push(-1);
          keys.parent.push(parent);
        }
        return known.get(name);
      };
      for (let callsite = 0; callsite < this.callsites; callsite++) {
        keys.of[callsite] = keyOf(this.strings[this.tags[tag][callsite]] || none);
      }
      return keys;
    });
  }

  // The node of the frame that each callsite is charged to, and that frame; -1 if no frame is of the workspace.
  owners(frames) {
    return this.once(`owners ${frames === 'mine'}`, () => {
      const { origin } = this.frames;
      const node = new Int32Array(this.callsites), frame = new Int32Array(this.callsites);
      for (let callsite = 0; callsite < this.callsites; callsite++) {
        const wanted = this.charged[callsite];
        let at = this.node[callsite];
        while (at !== 0 && (frames === 'mine' ? origin[this.frame[at]] !== MINE : this.frame[at] !== wanted)) at = this.parent[at];
        node[callsite] = at === 0 && frames !== 'mine' ? this.node[callsite] : at;
        frame[callsite] = frames !== 'mine' ? wanted : at === 0 ? -1 : this.frame[at];
      }
      return { node, frame };
    });
  }

  // The frames of a callsite, the innermost first.
  stack(callsite) {
    const stack = [];
    for (let at = this.node[callsite]; at !== 0; at = this.parent[at]) stack.push(this.frame[at]);
    return stack;
  }

  // The callsites that have a key of a level anywhere on their stack.
  callsitesWith(level, key) {
    const { of } = this.keys(level), has = new Uint8Array(this.parent.length), found = [];
    for (let node = 1; node < has.length; node++) has[node] = has[this.parent[node]] || of[this.frame[node]] === key ? 1 : 0;
    for (let callsite = 0; callsite < this.callsites; callsite++) if (has[this.node[callsite]]) found.push(callsite);
    return found;
  }

  // Values of callsites summed over the tree of stacks.
  sums(values) {
    const sums = new Float64Array(this.parent.length);
    for (let callsite = 0; callsite < this.callsites; callsite++) sums[this.node[callsite]] += values[callsite];
    for (let node = sums.length - 1; node > 0; node--) sums[this.parent[node]] += sums[node];
    return sums;
  }

  // Which nodes are the outermost of their key in a stack: recursion counts once.
  outermost(level) {
    return this.once(`outermost ${level}`, () => {
      const { of } = this.keys(level), open = new Int32Array(this.keys(level).names.length);
      const is = new Uint8Array(this.parent.length), path = [];
      for (let node = 1; node < is.length; node++) {
        while (path.length && path[path.length - 1] !== this.parent[node]) open[of[this.frame[path.pop()]]] -= 1;
        const key = of[this.frame[node]];
        is[node] = open[key] === 0 ? 1 : 0;
        open[key] += 1;
        path.push(node);
      }
      return is;
    });
  }
}

// The table of keys: lines, functions, and so on, with own and inclusive values.

// The rows of a view: for each key its own and its inclusive value, now and before.
function tableRows(data, view) {
  return data.once(`rows ${view.by} ${view.frames} ${view.metric} ${view.unit} ${view.from} ${view.to}`, () => {
    const { now, before, width } = data.values(view);
    const blocks = data.values({ ...view, unit: 'blocks' }).now;
    const isTag = ['type', 'label', 'thread'].includes(view.by), isStack = view.by === 'stack';
    const level = ['function', 'module', 'crate'].includes(view.by) ? view.by : 'line';
    const keys = isTag ? data.tagKeys(view.by) : data.keys(level), owners = data.owners(view.frames).frame;
    const outside = keys.names.length;
    const count = isStack ? data.callsites : outside + 1;
    const sum = () => new Float64Array(count);
    const rows = { keys, isTag, isStack, outside, own: sum(), before: before && sum(), blocks: sum(), inclusive: null, inclusiveBefore: null };
    const keyOf = rows.keyOf = callsite => isStack ? callsite : isTag ? keys.of[callsite]
      : owners[callsite] < 0 ? outside : keys.of[owners[callsite]];
    for (let callsite = 0; callsite < data.callsites; callsite++) {
      const key = keyOf(callsite);
      rows.own[key] += now[callsite];
      rows.blocks[key] += blocks[callsite];
      if (before) rows.before[key] += before[callsite];
    }
    rows.total = now.reduce((a, b) => a + b, 0);
    rows.totalBefore = before && before.reduce((a, b) => a + b, 0);
    rows.width = width;
    const inclusive = (values, own) => {
      if (isStack || isTag && view.by !== 'label') return own;
      const all = own.slice();
      if (isTag) {
        // A parent's key comes before those within it.
        for (let key = outside - 1; key >= 0; key--) if (keys.parent[key] >= 0) all[keys.parent[key]] += all[key];
        return all;
      }
      all.fill(0);
      const sums = data.sums(values), is = data.outermost(level);
      for (let node = 1; node < sums.length; node++) if (is[node]) all[keys.of[data.frame[node]]] += sums[node];
      all[outside] = own[outside];
      return all;
    };
    rows.inclusive = inclusive(now, rows.own);
    rows.inclusiveBefore = before && inclusive(before, rows.before);
    return rows;
  });
}

function rowName(data, rows, key, view) {
  if (rows.isStack) {
    const frame = data.owners(view.frames).frame[key], keys = data.keys('line');
    return frame < 0 ? '<no frame of my code>' : keys.titles[keys.of[frame]];
  }
  if (key === rows.outside) return '<no frame of my code>';
  return rows.keys.names[key];
}

class Table {
  constructor(section, act) {
    Object.assign(this, { section, act, shown: PAGE });
  }

  show(data, view, matches) {
    const identity = JSON.stringify([view.by, view.metric, view.frames, view.search, view.sort, view.from, view.to]);
    if (identity !== this.identity) { this.shown = PAGE; this.identity = identity; }
    const rows = tableRows(data, view), { isGrowth } = data.values(view);
    const change = key => rows.before ? rows.own[key] - rows.before[key] : 0;
    // A line of the standard library that only passes calls on is of no help, nor is in a comparison what did not change.
    const isPlumbing = key => view.frames !== 'all' && !rows.isTag && !rows.isStack && rows.keys.origin[key] === STD;
    const hasValue = key => isGrowth ? change(key) !== 0 || rows.inclusive[key] !== rows.inclusiveBefore[key] && !isPlumbing(key)
      : rows.own[key] !== 0 || rows.before && rows.before[key] !== 0 || rows.inclusive[key] !== 0 && !isPlumbing(key);
    let chosen = [];
    for (let key = 0; key < rows.own.length; key++) {
      if (hasValue(key) && (matches === null || matches(key))) chosen.push(key);
    }
    const names = new Map(), name = key => names.get(key) ?? (names.set(key, rowName(data, rows, key, view)), names.get(key));
    const by = {
      value: isGrowth ? key => Math.abs(change(key)) : key => rows.own[key] || -1 / (1 + rows.inclusive[key]),
      own: key => rows.own[key], inclusive: key => rows.inclusive[key], blocks: key => rows.blocks[key], change: key => Math.abs(change(key)),
    }[view.sort];
    if (by) {
      const order = new Map(chosen.map(key => [key, by(key)]));
      chosen.sort((a, b) => order.get(b) - order.get(a) || a - b);
    } else chosen.sort((a, b) => (name(a) < name(b) ? -1 : 1));
    const most = Math.max(...chosen.slice(0, this.shown).map(key => Math.abs(isGrowth ? change(key) : rows.own[key])), 1);
    const heads = [
      ['own', view.unit === 'blocks' ? 'own blocks' : 'own'], ['share', 'share'],
      ...(rows.before ? [['change', 'change']] : []),
      ['inclusive', 'inclusive'], ['blocks', 'blocks'], ['name', view.by],
    ];
    const sorts = view.sort === 'value' ? (isGrowth ? 'change' : 'own') : view.sort;
    const head = heads.map(([id, text]) => headCell(text, {
      sorted: sorts !== id ? null : id === 'name' ? '▴' : '▾',
      sort: id === 'share' ? null : () => this.act.sort(id),
      isWide: ['inclusive', 'blocks'].includes(id),
    }));
    const body = chosen.slice(0, this.shown).map(key => {
      const difference = change(key);
      const cells = [
        element('td', {}, formatValue(rows.own[key], view.unit)),
        element('td', {}, formatShare(rows.own[key], rows.total)),
        rows.before ? element('td', { class: difference > 0 ? 'grew' : difference < 0 ? 'shrank' : null }, formatChange(difference, view.unit)) : null,
        element('td', { class: 'wide' }, formatValue(rows.inclusive[key], view.unit)),
        element('td', { class: 'wide' }, formatCount(rows.blocks[key])),
        element('td', {},
          element('span', { class: 'name' }, shortened(name(key))),
          bar(Math.abs(isGrowth ? difference : rows.own[key]), most),
          this.source(data, rows, key, view)),
      ];
      return selectableRow(key, key === view.selected, this.act.select, cells.filter(it => it));
    });
    showTable(this.section, head, body,
      chosen.length ? '' : element('p', { class: 'empty' }, view.search ? `Nothing matches ${shortened(view.search, 80)}.` : 'Nothing to show: this metric is zero everywhere.'),
      moreButton(chosen.length - this.shown, () => { this.shown += 4 * PAGE; this.act.redraw(); }));
    return chosen.length;
  }

  source(data, rows, key, view) {
    if (rows.isTag || key === rows.outside && !rows.isStack || !['line', 'stack'].includes(view.by)) return null;
    const frame = rows.isStack ? data.owners(view.frames).frame[key] : rows.keys.frame[key];
    const text = frame < 0 ? '' : data.strings[data.frames.source[frame]];
    return text ? element('code', { class: 'source' }, shortened(text, 200)) : null;
  }
}

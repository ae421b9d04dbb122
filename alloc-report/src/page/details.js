// What is known of the selected key: its numbers, source, types, labels, and the stacks that hold the most.

function showDetails(section, data, view) {
  if (view.selected < 0) {
    section.replaceChildren(element('p', { class: 'empty' }, 'Select a row or a box to see its numbers, its source and its largest stacks.'));
    return;
  }
  const rows = tableRows(data, view), key = view.selected;
  if (!(key < rows.own.length)) { section.replaceChildren(); return; }
  const { width } = data.values(view), own = [];
  for (let callsite = 0; callsite < data.callsites; callsite++) if (rows.keyOf(callsite) === key) own.push(callsite);
  const isOfFrames = !rows.isTag && !rows.isStack && key !== rows.outside;
  const all = isOfFrames ? data.callsitesWith(['function', 'module', 'crate'].includes(view.by) ? view.by : 'line', key) : own;
  const callsites = (own.some(callsite => width[callsite] > 0) ? own : all).slice().sort((a, b) => width[b] - width[a]);
  const name = rowName(data, rows, key, view), parts = [element('h2', { class: 'name' }, shortened(name))];
  if (name.length > 300) parts.push(element('div', { class: 'whole' }, visible(name)));
  if (!rows.isTag && key !== rows.outside || rows.isStack) parts.push(...sourceOf(data, rows, key, view));
  parts.push(numbersOf(data, own, isOfFrames ? all : null));
  parts.push(...partsOf(data, callsites, 'type', width, view), ...partsOf(data, callsites, 'label', width, view), ...partsOf(data, callsites, 'thread', width, view));
  parts.push(...stacksOf(data, callsites, width, view));
  section.replaceChildren(...parts);
}

function sourceOf(data, rows, key, view) {
  const frame = rows.isStack ? data.owners(view.frames).frame[key] : rows.keys.frame[key];
  if (frame < 0 || !['line', 'function', 'stack'].includes(view.by)) return [];
  const { frames, strings } = data, text = strings[frames.source[frame]], place = strings[frames.file[frame]];
  return [
    element('p', { class: 'empty' }, shortened(`${strings[frames.short[frame]]}${view.by !== 'line' && place ? `, ${place}:${frames.line[frame]}` : ''}, ${strings[frames.crate[frame]]}`)),
    ...(text && view.by !== 'function' ? [element('code', { class: 'source' }, shortened(text))] : []),
  ];
}

// The counters of the callsites that are charged to a key, and the bytes of all that have it on their stack.
function numbersOf(data, own, all) {
  const sum = (column, callsites) => column ? callsites.reduce((total, callsite) => total + column[callsite], 0) : null;
  const cell = (text, style) => element('td', { class: style ?? null }, text);
  const row = (name, metric) => {
    if (!data.has(metric)) return null;
    const [bytes, blocks, old] = [`now.${metric}.bytes`, `now.${metric}.blocks`, `old.${metric}.bytes`].map(it => sum(data.columns.get(it), own));
    return element('tr', {}, cell(formatBytes(bytes)), ...(all ? [cell(formatBytes(sum(data.columns.get(`now.${metric}.bytes`), all)))] : []),
      cell(data.about.knows_blocks ? formatCount(blocks) : '–'), cell(blocks ? formatBytes(bytes / blocks) : '–'),
      ...(data.isCompared ? [cell(formatChange(bytes - old, 'bytes'), bytes > old ? 'grew' : bytes < old ? 'shrank' : null)] : []), cell(name));
  };
  const heads = ['own', ...(all ? ['inclusive'] : []), 'blocks', 'average', ...(data.isCompared ? ['change'] : []), ''];
  const reallocations = sum(data.reallocations, own), copied = sum(data.copied, own);
  return element('table', {},
    element('thead', {}, element('tr', {}, ...heads.map(it => element('th', {}, it)))),
    element('tbody', {}, row('now', 'current'), row('at the peak', 'at_peak'), row('own peaks', 'peak'), row('allocated', 'total'),
      row(`freed within ${formatMicroseconds(data.about.temporary_below)}`, 'temporary'),
      reallocations ? element('tr', {}, ...heads.slice(1).map((_, at) => cell(heads[at] === 'blocks' ? formatCount(reallocations) : '')), cell('reallocations')) : null,
      copied ? element('tr', {}, cell(formatBytes(copied)), ...heads.slice(2).map(() => cell('')), cell('copied by reallocations')) : null));
}

// The largest types, labels or threads of some callsites, if there is more to say than one unknown.
function partsOf(data, callsites, tag, width, view) {
  if (view.by === tag) return [];
  const keys = data.tagKeys(tag), sums = new Map();
  for (const callsite of callsites) sums.set(keys.of[callsite], (sums.get(keys.of[callsite]) ?? 0) + width[callsite]);
  const known = [...sums].filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]);
  if (!known.length || known.length === 1 && keys.names[known[0][0]].startsWith('<')) return [];
  const items = known.slice(0, 5).map(([key, value]) => element('li', {}, `${formatValue(value, view.unit)}  `, element('span', {}, shortened(keys.names[key], 160))));
  if (known.length > 5) items.push(element('li', { class: 'other' }, `${known.length - 5} more`));
  return [element('h3', {}, { type: 'Types', label: 'Labels', thread: 'Threads' }[tag]), element('ol', {}, ...items)];
}

function stacksOf(data, callsites, width, view) {
  const { frames, strings } = data;
  const shown = callsites.filter(callsite => width[callsite] > 0).slice(0, 3);
  return shown.flatMap(callsite => {
    let hidden = 0;
    const items = [], flush = () => {
      if (hidden) items.push(element('li', { class: 'other' }, `${hidden} more of libraries`));
      hidden = 0;
    };
    const stack = data.stack(callsite);
    for (const frame of stack) {
      if (view.frames !== 'all' && frames.origin[frame] === STD && frame !== data.charged[callsite]) { hidden += 1; continue; }
      flush();
      const file = strings[frames.file[frame]];
      items.push(element('li', { class: frames.origin[frame] === MINE ? null : 'other' }, shortened(strings[frames.short[frame]], 160),
        file ? element('span', { class: 'source' }, shortened(`${file}:${frames.line[frame]}`)) : null));
    }
    flush();
    return [element('h3', {}, `Stack of ${formatValue(width[callsite], view.unit)}, the allocation first`), element('ol', {}, ...items)];
  });
}

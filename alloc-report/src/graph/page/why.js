// What is known of the selected row: its numbers, who holds it, why its largest block is alive, and what it leads to.

// `select(by, row)` selects a row; `zoom(key)` goes to the largest box of a key.
function showDetails(section, heap, view, act) {
  const row = heap.rows(view.by)[view.selected];
  if (!row) {
    section.replaceChildren(element('p', { class: 'empty' }, 'Select a row or a box to see who holds it, why it is alive, and what it leads to.'));
    return;
  }
  const name = heap.strings[row.name], whole = heap.about.bytes;
  const parts = [element('h2', { class: 'name' }, shortened(name))];
  if (name.length > 300) parts.push(element('div', { class: 'whole' }, visible(name)));
  if (row.source) parts.push(element('code', { class: 'source' }, shortened(heap.strings[row.source])));
  parts.push(...meaningOf(row, whole).map(text => element('p', {}, text)));
  parts.push(...partsOf(heap, 'Held by', row.held, name => act.find('root', name)));
  parts.push(...partsOf(heap, view.by === 'type' ? 'Made at' : 'Types', row.made, name => act.find(view.by === 'type' ? 'line' : 'type', name)));
  const below = heap.below(view.by, view.selected);
  if (below.length) {
    const label = key => heap.tree.labels[key];
    const largest = below.slice(0, 6).map(([key, bytes]) => part(formatBytes(bytes), heap.strings[label(key).name], heap.strings[label(key).place],
      label(key).type !== null && (() => act.select('type', label(key).type))));
    parts.push(element('h3', {}, { One: 'Only it holds', Several: 'They hold', Nothing: 'Leaked' }[row.root] ?? 'Only it leads to'), list(largest, below.length - largest.length));
  }
  if (row.why !== null) parts.push(element('h3', {}, row.blocks === 1 ? 'Why' : 'Why the one that retains the most'), ...whyOf(heap, heap.whys[row.why]));
  else if (view.by !== 'root') parts.push(element('h3', {}, 'Why'), element('p', { class: 'empty' }, `alloc-report graph FILE why '${shortened(name, 120)}'`));
  section.replaceChildren(...parts);
}

// What the numbers of a row mean.
function meaningOf(row, whole) {
  const bytes = formatBytes(row.retained), share = formatShare(row.retained, whole), blocks = formatBlocks(row.blocks);
  switch (row.root) {
    case 'One': return [`Without it, ${bytes} in ${blocks} would be free, ${share} of all.`];
    case 'Several': return [`${bytes} in ${blocks}, ${share} of all, would stay without any one root: more than one holds them.`];
    case 'Nothing': return [`Nothing reaches ${bytes} in ${blocks}, ${share} of all.`];
    default: return [`Without ${row.blocks === 1 ? 'it' : 'them'}, ${bytes} would be free, ${share} of all.`,
      `${blocks} of ${formatBytes(row.bytes)}${row.blocks === 1 ? '' : `, ${formatBytes(row.bytes / row.blocks)} on average`}.`];
  }
}

// A number and a name. `go`: what a click on the name does, if it does something.
function part(number, name, place, go) {
  const text = shortened(name, 160), small = place ? element('small', {}, ` ${shortened(place)}`) : null;
  return element('li', {}, element('b', {}, number),
    element('span', { class: 'type' }, go ? element('button', { type: 'button', on: { click: go } }, text) : text, small));
}

function list(items, others) {
  if (others > 0) items.push(element('li', {}, element('b', {}, ''), element('small', {}, `and ${formatCount(others)} more`)));
  return element('ul', { class: 'parts' }, ...items);
}

function partsOf(heap, heading, { largest, others }, find) {
  if (!largest.length) return [];
  const items = largest.map(([name, bytes]) => part(formatBytes(bytes), heap.strings[name], '', find(name)));
  return [element('h3', {}, heading), list(items, others)];
}

// Why a block is alive.
function whyOf(heap, why) {
  const { strings } = heap, [strong, weak, found] = why.counts ?? [];
  const words = [`At ${why.block.address}, ${why.reach}.`];
  if (why.age) words.push(`It is ${why.age} old.`);
  words.push(`It retains ${formatBytes(why.retained)}.`);
  if (why.counts) words.push(`It counts ${formatCount(strong)} strong and ${formatCount(weak)} weak; ${formatCount(found)} ${found === 1 ? 'reference was' : 'references were'} found.`);
  const parts = [element('p', {}, blockOf(heap, why.block)), element('p', { class: 'empty' }, words.join(' '))];
  const { chain } = why;
  if (chain.first.length) {
    const link = it => element('li', {}, it.block ? blockOf(heap, it.block) : shortened(strings[it.root]), element('small', {}, ` retains ${formatBytes(it.retained)}`));
    parts.push(element('h3', {}, 'It would be free without any one of'), chainOf(chain, [], link));
  }
  for (const path of why.paths) {
    const step = it => element('li', {}, blockOf(heap, it.block), element('small', {}, `${fieldOf(strings[it.field])} at ${it.at}${it.offset ? ` to +${it.offset}` : ''}`));
    parts.push(element('h3', {}, `A shortest path${path.is_strong ? '' : ' (words on it may be left behind)'}`),
      chainOf(path.steps, [element('li', {}, shortened(strings[path.root]))], step));
  }
  return parts;
}

function fieldOf(path) {
  return path ? ` by ${shortened(path, 160)}` : '';
}

function chainOf({ first, left_out: leftOut, last }, before, item) {
  const between = leftOut ? [element('li', {}, element('small', {}, `${formatCount(leftOut)} more between`))] : [];
  return element('ol', { class: 'chain' }, ...before, ...first.map(item), ...between, ...last.map(item));
}

function blockOf(heap, block) {
  const { strings } = heap;
  return element('span', { class: 'type' }, shortened(strings[block.type], 160), element('small', {}, ` ${formatBytes(block.size)}, ${shortened(strings[block.place])}`));
}

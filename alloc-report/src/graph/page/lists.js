// What reaches the memory, and what is wrong with it: leaks, cycles, counts and equal contents.

function showLists(section, heap) {
  const { leaks, cycles, counts, duplicates } = heap.lists, why = number => () => whyOf(heap, heap.whys[number]);
  const maker = ({ type, place }) => `${shortened(heap.strings[type], 160)} (${shortened(heap.strings[place])})`;
  const of = number => maker(heap.whys[number].block);
  section.replaceChildren(
    reachCard(heap),
    listCard('Leaks', leaks, it => foldable(
      `${formatBytes(it.retained)} in ${formatCount(it.trees)} ${it.trees === 1 ? 'tree' : 'trees'}, ${it.certainty}${it.is_cycle ? ', a cycle' : ''}: ${of(it.why)}`, why(it.why))),
    listCard('Cycles of Rc and Arc', cycles, it => foldable(
      element('span', {}, element('span', { class: 'drawn' }, drawn(heap, it)), ` ${formatBytes(it.retained)}${it.count > 1 ? `, ${formatCount(it.count)} times` : ''}, ${it.certainty}`),
      () => [element('ol', {}, ...it.blocks.map(block => element('li', {}, `${maker(block)} at ${block.address}`)))])),
    listCard('Counts of Rc and Arc', counts, it => foldable(
      `${it.says}: ${of(it.why)}, ${formatBlocks(it.blocks)} that ${it.blocks === 1 ? 'retains' : 'retain'} ${formatBytes(it.retained)}`, why(it.why))),
    listCard('Equal contents', duplicates, it => foldable(
      `${formatBytes(it.wasted)} wasted: ${formatCount(it.count)} times ${formatBytes(it.size)}, such as ${it.example.address}`,
      () => [element('ol', {}, ...it.makers.map(([type, place, blocks]) => element('li', {}, `${formatCount(blocks)} of ${maker({ type, place })}`)))])));
}

// A cycle as a person draws it: it ends where it begins.
function drawn(heap, { types }) {
  return [...types, types[0]].map(it => shortened(heap.strings[it], 120)).join(' → ');
}

// What a click opens is made when it is first opened.
function foldable(summary, content) {
  const made = element('details', { on: { toggle: () => { if (made.open && made.children.length === 1) made.append(...content()); } } }, element('summary', {}, summary));
  return made;
}

function listCard(heading, { says, items, total }, item) {
  const more = total > items.length ? element('p', { class: 'empty' }, `and ${formatCount(total - items.length)} more`) : null;
  return element('section', { class: 'card' }, element('h2', {}, heading), element('p', { class: 'says' }, shortened(says, 600)),
    element('div', { class: 'scroll' }, ...items.map(item), more));
}

function reachCard({ about }) {
  const most = Math.max(...about.reach.map(([, bytes]) => bytes), 1);
  const rows = about.reach.flatMap(([name, bytes, blocks]) => [element('span', {}, name),
    element('i', { style: `width:${(100 * bytes / most).toFixed(2)}%` }), element('span', {}, `${formatBytes(bytes)} in ${formatBlocks(blocks)}`)]);
  return element('section', { class: 'card' }, element('h2', {}, 'Reached by'), element('div', { class: 'histogram' }, ...rows));
}

// Puts the page together.

function summarize({ about, lists }) {
  byId('summary').replaceChildren(
    tile(formatBytes(about.bytes), `live in ${formatBlocks(about.blocks)}${about.exact_sizes ? '' : ', each within 1/32'}`),
    tile(formatCount(about.references), 'references between them'),
    tile(formatCount(about.threads), about.threads === 1 ? 'thread' : 'threads'),
    ...(about.pause ? [tile(about.pause, 'pause')] : []),
    tile(formatBytes(about.leaked), 'leaked'),
    tile(formatCount(lists.cycles.total), `${lists.cycles.total === 1 ? 'shape' : 'shapes'} of cycles`));
  showHead([
    about.command, about.process && `process ${about.process}`, about.build && `build ${about.build}`, about.taken_at,
    ...about.metadata.map(([key, value]) => `${key}: ${value}`),
  ], about.notes);
}

class GraphApp {
  constructor(heap) {
    this.heap = heap;
    summarize(heap);
    this.state = new State(heap, { by: 'type', search: '', zoom: 0, selected: -1, sort: 'retained' },
      { by: Object.keys(BY), sort: ['retained', 'bytes', 'blocks', 'name'] }, () => this.show());
    const { state } = this, select = (by, selected) => state.set({ by, selected });
    this.act = { select, find: (by, name) => this.find(by, name) };
    this.flame = new Flame(byId('flame'), { zoom: node => this.zoom(node) });
    this.table = new RowsTable(byId('table'), {
      select: row => select(state.by, row === state.selected ? -1 : row),
      sort: sort => state.set({ sort }),
      redraw: () => this.show(),
    });
    choices(byId('by'), 'by', Object.entries(BY).map(([value, text]) => [value, text]), by => select(by, -1));
    followSearch(60, search => state.set({ search }));
    byId('reset').addEventListener('click', () => state.reset());
    showLists(byId('lists'), heap);
    followTheme(() => this.show());
  }

  // A click in the graph zooms, and selects the row of what was clicked.
  zoom(node) {
    this.state.set({ zoom: node, ...this.heap.rowOf(node, this.state.by) });
    byId('table').querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
  }

  // What a click on a name does: it selects the row of that name, if the table has it.
  find(by, name) {
    const row = this.heap.rows(by).findIndex(it => it.name === name);
    return row < 0 ? null : () => this.act.select(by, row);
  }

  show() {
    const { heap, state } = this, { tree, sums } = heap, started = performance.now();
    if (state.zoom >= tree.parent.length || state.zoom < 0) state.zoom = 0;
    const matches = heap.search(state.by, state.search);
    const isSelected = key => state.selected >= 0 && tree.labels[key][state.by] === state.selected;
    const note = node => formatBlocks(heap.blocks[node]);
    this.flame.show({ tree, sums, unit: 'bytes', zoom: state.zoom, flip: false, isGrowth: false, matches: matches.keys, isSelected, note });
    showPath(tree, sums, state.zoom, node => this.zoom(node));
    byId('key').replaceChildren(...FROM.map((name, origin) => swatch(colourOf(origin, isDark()), name)), 'The width is what would be free without it.');
    const rows = this.table.show(heap, state, matches.rows);
    byId('found').textContent = matches.keys ? `${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}, ${foundShare(tree, sums.width, matches.keys)} of the graph` : '';
    showDetails(byId('details'), heap, state, this.act);
    for (const input of byId('by').querySelectorAll('input')) input.checked = input.value === state.by;
    if (document.activeElement !== byId('search')) byId('search').value = state.search;
    document.documentElement.dataset.drawn = (performance.now() - started).toFixed(1);
  }
}

start(raw => new GraphApp(new Heap(raw)));

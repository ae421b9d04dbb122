// Puts the page together.

const METRICS = { current: 'Now', at_peak: 'At the peak', peak: 'Own peaks', total: 'Allocated', freed: 'Freed', temporary: 'Temporary', growth: 'Growth' };
const FRAMES = { mine: 'my code', relevant: 'relevant', all: 'all frames' };
const LEVELS = { line: 'line', function: 'function', module: 'module', crate: 'crate', type: 'type', label: 'label', thread: 'thread', stack: 'stack' };

function summarize(data) {
  const { about } = data, { heap, old_heap: old } = about;
  const change = (now, before) => before === undefined ? '' : ` (${formatChange(now - before, 'bytes')})`;
  byId('summary').replaceChildren(
    tile(formatBytes(heap.current), `live ${about.is_at_exit ? 'at the end' : 'now'}${change(heap.current, old?.current)}`),
    tile(formatBytes(heap.peak), `peak${heap.peak_error ? ` ±${formatBytes(heap.peak_error)}` : ''}${change(heap.peak, old?.peak)}`),
    ...(heap.total ? [tile(formatBytes(heap.total.bytes), `allocated in ${formatCount(heap.total.blocks)} blocks`)] : []),
    tile(formatCount(data.callsites), 'callsites'),
    tile(about.sampled_every ? 'sampled' : 'exact', about.sampled_every ? `one block each ${formatBytes(about.sampled_every)} on average` : 'every block is recorded'));
  showHead([
    about.command && `${about.command}`, about.process && `process ${about.process}`, about.build && `build ${about.build}`, about.taken_at,
    data.isCompared && `compared with ${about.old_taken_at || 'an older snapshot'}`, ...about.metadata.map(([key, value]) => `${key}: ${value}`),
  ], about.notes);
}

class App {
  constructor(data) {
    this.data = data;
    summarize(data);
    showResident(byId('resident'), data.residence);
    this.state = new View(data, () => this.show());
    const { state } = this;
    this.flame = new Flame(byId('flame'), { zoom: node => this.zoom(node) });
    this.table = new Table(byId('table'), {
      select: key => state.set({ selected: key === state.selected ? -1 : key }),
      sort: sort => state.set({ sort }),
      redraw: () => this.show(),
    });
    this.timeline = new Timeline(byId('timeline'), data, state);
    choices(byId('metric'), 'metric', state.choices.metric.map(it => [it, METRICS[it]]), metric => state.set({ metric, from: null, to: null }));
    choices(byId('unit'), 'unit', [['bytes', 'bytes'], ['blocks', 'blocks', !data.about.knows_blocks]], unit => state.set({ unit }));
    choices(byId('frames'), 'frames', Object.entries(FRAMES).map(([value, text]) => [value, text, value === 'mine' && !data.hasMine]), frames => state.set({ frames }));
    byId('by').replaceChildren(...Object.entries(LEVELS).map(([value, text]) => element('option', { value }, text)));
    byId('by').addEventListener('change', event => state.set({ by: event.target.value }));
    for (const name of ['inverted', 'flip']) byId(name).addEventListener('change', event => state.set({ [name]: event.target.checked }));
    followSearch(data.callsites > 20000 ? 250 : 60, search => state.set({ search }));
    byId('reset').addEventListener('click', () => state.reset());
    followTheme(() => this.show());
  }

  // A click in the graph zooms, and selects the same key in the table.
  zoom(node) {
    const tree = Tree.of(this.data, this.state);
    const key = node > 0 ? this.rowOf(tree, node) : -1;
    this.state.set({ zoom: node, selected: key });
    byId('table').querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
  }

  // The key in the table for a node of the graph, or -1.
  rowOf(tree, node) {
    const key = tree.key[node];
    if (this.state.by === 'stack') return -1;
    if (!tree.tag) return key;
    return key >= tree.frameKeys && key < tree.outside ? key - tree.frameKeys : -1;
  }

  // The keys of the graph and the rows of the table that the search finds; null without one.
  matches(tree) {
    const { data, state } = this, wanted = state.search.trim().toLowerCase();
    if (!wanted) return { nodes: null, rows: null };
    const nodes = data.once(`search ${state.by} ${state.frames} ${state.inverted} ${wanted}`, () => {
      const found = new Uint8Array(tree.outside + 1);
      for (let key = 0; key <= tree.outside; key++) {
        const texts = [tree.ofKey(key, 'names'), tree.ofKey(key, 'titles'), tree.ofKey(key, 'places')];
        found[key] = texts.some(text => text.toLowerCase().includes(wanted)) ? 1 : 0;
      }
      return found;
    });
    const rows = tableRows(data, state), lines = data.keys('line');
    const texts = key => rows.isStack ? data.stack(key).map(frame => lines.titles[lines.of[frame]]).join('\n')
      : key === rows.outside ? '<no frame of my code>' : `${rows.keys.names[key]}\n${rows.keys.titles[key]}\n${rows.keys.places[key]}`;
    return { nodes, rows: key => texts(key).toLowerCase().includes(wanted) };
  }

  show() {
    const { data, state } = this, started = performance.now();
    const tree = Tree.of(data, state), values = data.values(state);
    if (state.zoom >= tree.parent.length || state.zoom < 0) state.zoom = 0;
    const sums = data.once(`sums ${state.by} ${state.frames} ${state.inverted} ${state.metric} ${state.unit} ${state.from} ${state.to}`, () => ({
      width: tree.sums(values.width),
      now: values.now === values.width ? null : tree.sums(values.now),
      before: values.before && tree.sums(values.before),
    }));
    sums.now ??= sums.width;
    const matches = this.matches(tree);
    const selected = state.selected < 0 || state.by === 'stack' ? -1 : tree.tag ? state.selected + tree.frameKeys
      : state.selected === tree.keys.names.length ? tree.outside : state.selected;
    this.flame.show({ tree, sums, unit: state.unit, zoom: state.zoom, flip: state.flip, isGrowth: values.isGrowth, matches: matches.nodes, isSelected: key => key === selected });
    showPath(tree, sums, state.zoom, node => this.zoom(node));
    this.showKey(values);
    const rows = this.table.show(data, state, matches.rows);
    byId('found').textContent = matches.nodes ? `${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}, ${foundShare(tree, sums.width, matches.nodes)} of the graph` : '';
    showDetails(byId('details'), data, state);
    showHistograms(byId('histograms'), data, state);
    this.timeline.show();
    this.showControls();
    document.documentElement.dataset.drawn = (performance.now() - started).toFixed(1);
  }

  showKey({ before, isGrowth }) {
    const dark = isDark(), change = hue => `hsl(${hue} 85% ${dark ? 34 : 64}%)`;
    const parts = before
      ? [swatch(change(6), 'grew (+)'), swatch(change(214), 'shrank (−)'), isGrowth ? 'The width is the change.' : 'The width is the larger of both.']
      : ORIGINS.map((name, origin) => swatch(colourOf(origin, dark), name));
    byId('key').replaceChildren(...parts);
  }

  showControls() {
    const { state } = this;
    for (const name of ['metric', 'unit', 'frames']) {
      for (const input of byId(name).querySelectorAll('input')) input.checked = input.value === state[name] && !(name === 'metric' && state.to !== null);
    }
    byId('by').value = state.by;
    for (const name of ['inverted', 'flip']) byId(name).checked = state[name];
    if (document.activeElement !== byId('search')) byId('search').value = state.search;
  }
}

start(raw => new App(new Data(raw)));

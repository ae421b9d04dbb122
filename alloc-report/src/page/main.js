// Puts the page together.

const METRICS = { current: 'Now', at_peak: 'At the peak', peak: 'Own peaks', total: 'Allocated', freed: 'Freed', temporary: 'Temporary', growth: 'Growth' };
const FRAMES = { mine: 'my code', relevant: 'relevant', all: 'all frames' };
const LEVELS = { line: 'line', function: 'function', module: 'module', crate: 'crate', type: 'type', label: 'label', thread: 'thread', stack: 'stack' };

function choices(group, name, entries, pick) {
  group.replaceChildren(...entries.map(([value, text, isDisabled]) => element('label', {},
    element('input', { type: 'radio', name, value, disabled: Boolean(isDisabled), on: { change: () => pick(value) } }), text)));
}

function summarize(data) {
  const { about } = data, { heap, old_heap: old } = about;
  const tile = (value, text) => element('div', { class: 'tile' }, element('b', {}, value), element('span', {}, text));
  const change = (now, before) => before === undefined ? '' : ` (${formatChange(now - before, 'bytes')})`;
  byId('summary').replaceChildren(
    tile(formatBytes(heap.current), `live ${about.is_at_exit ? 'at the end' : 'now'}${change(heap.current, old?.current)}`),
    tile(formatBytes(heap.peak), `peak${heap.peak_error ? ` ±${formatBytes(heap.peak_error)}` : ''}${change(heap.peak, old?.peak)}`),
    ...(heap.total ? [tile(formatBytes(heap.total.bytes), `allocated in ${formatCount(heap.total.blocks)} blocks`)] : []),
    tile(formatCount(data.callsites), 'callsites'),
    tile(about.sampled_every ? 'sampled' : 'exact', about.sampled_every ? `one block each ${formatBytes(about.sampled_every)} on average` : 'every block is recorded'));
  const words = [
    about.command && `${about.command}`, about.process && `process ${about.process}`, about.build && `build ${about.build}`, about.taken_at,
    data.isCompared && `compared with ${about.old_taken_at || 'an older snapshot'}`, ...about.metadata.map(([key, value]) => `${key}: ${value}`),
  ];
  byId('about').textContent = words.filter(it => it).map(it => shortened(it, 400)).join(' · ');
  byId('notes').hidden = !about.notes.length;
  byId('notes').replaceChildren(...about.notes.map(note => element('li', {}, shortened(note, 600))));
}

class App {
  constructor(data) {
    this.data = data;
    summarize(data);
    this.state = new State(data, () => this.show());
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
    let pause;
    byId('search').addEventListener('input', event => {
      clearTimeout(pause);
      pause = setTimeout(() => state.set({ search: event.target.value }), data.callsites > 20000 ? 250 : 60);
    });
    byId('reset').addEventListener('click', () => state.reset());
    byId('theme').addEventListener('click', () => this.setDark(!document.documentElement.classList.contains('dark')));
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', () => this.setDark(dark.matches));
    this.setDark(dark.matches);
    document.addEventListener('keydown', event => {
      if (event.key === '/' && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
        event.preventDefault();
        byId('search').focus();
      }
    });
  }

  setDark(isDark) {
    document.documentElement.classList.toggle('dark', isDark);
    byId('theme').textContent = isDark ? '☀' : '☾';
    this.show();
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
    if (!this.timeline) return;
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
    this.flame.show({ tree, sums, unit: state.unit, zoom: state.zoom, flip: state.flip, isGrowth: values.isGrowth, matches: matches.nodes, selected });
    this.showPath(tree, sums);
    this.showKey(values);
    const rows = this.table.show(data, state, matches.rows);
    byId('found').textContent = matches.nodes ? this.foundShare(tree, sums, matches.nodes, rows) : '';
    showDetails(byId('details'), data, state);
    showHistograms(byId('histograms'), data, state);
    this.timeline.show();
    this.showControls();
    document.documentElement.dataset.drawn = (performance.now() - started).toFixed(1);
  }

  // How much is in or below what was found; nested matches count once.
  foundShare(tree, sums, found, rows) {
    const isBelow = new Uint8Array(tree.parent.length);
    let sum = 0;
    for (let node = 1; node < isBelow.length; node++) {
      const above = isBelow[tree.parent[node]];
      isBelow[node] = above || found[tree.key[node]];
      if (!above && isBelow[node]) sum += sums.width[node];
    }
    return `${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}, ${formatShare(sum, sums.width[0]) || '0%'} of the graph`;
  }

  showPath(tree, sums) {
    const { state } = this, { zoom } = state;
    if (zoom === 0) { byId('path').replaceChildren('Click a box to zoom into it.'); return; }
    byId('path').replaceChildren(
      element('button', { type: 'button', on: { click: () => this.zoom(tree.parent[zoom]) } }, '↑ out'),
      element('button', { type: 'button', on: { click: () => this.zoom(0) } }, 'all'),
      `${shortened(tree.whole(zoom), 200)}: ${formatShare(sums.width[zoom], sums.width[0])} of all`);
  }

  showKey({ before, isGrowth }) {
    const swatch = (colour, text) => [element('span', { class: 'swatch', style: `background:${colour}` }), text];
    const isDark = document.documentElement.classList.contains('dark');
    const parts = before
      ? [...swatch(isDark ? 'hsl(6 85% 34%)' : 'hsl(6 85% 64%)', 'grew (+)'), ...swatch(isDark ? 'hsl(214 85% 34%)' : 'hsl(214 85% 64%)', 'shrank (−)'), isGrowth ? '  The width is the change.' : '  The width is the larger of both.']
      : [[22, 88, 68, 36], [172, 42, 70, 30], [220, 10, 82, 32], [270, 26, 78, 36]].flatMap(([hue, strength, light, dark], origin) => swatch(`hsl(${hue} ${strength}% ${isDark ? dark : light}%)`, ORIGINS[origin]));
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

readData().then(data => {
  globalThis.app = new App(data);
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}).catch(error => {
  byId('failure').hidden = false;
  byId('failure').textContent = `The page cannot show its data: ${error.message}`;
  throw error;
});

// Memory over time, and histograms.

const SVG = 'http://www.w3.org/2000/svg';

function drawing(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

class Timeline {
  static COLOURS = ['#d9773f', '#3f8f86', '#8a63b8', '#c2a13a', '#4f7fbf', '#b5547d'];
  static HEIGHT = 190;
  static LEFT = 62;
  static BOTTOM = 20;

  constructor(section, data, state) {
    Object.assign(this, { section, data, state });
    const { heap, resident } = data.timeline;
    this.isShown = data.moments.length > 0 || heap.length > 1;
    section.hidden = !this.isShown;
    if (!this.isShown) return;
    this.end = Math.max(...[heap, resident].map(line => line.length ? line[line.length - 1][0] : 0), ...data.moments.map(it => it.seconds), 1e-3);
    this.areas = this.largest();
    this.svg = drawing('svg', { role: 'img', 'aria-label': 'Heap and resident memory over time. Choose moments with the fields below.' });
    const choose = name => element('select', { 'aria-label': name, on: { change: () => this.choose() } });
    [this.first, this.last] = [choose('From'), choose('To')];
    data.moments.forEach(({ seconds }, at) => {
      for (const select of [this.first, this.last]) select.append(element('option', { value: at }, formatSeconds(seconds)));
    });
    this.first.prepend(element('option', { value: '' }, 'the start'));
    this.last.prepend(element('option', { value: '' }, 'not chosen'));
    this.said = element('output', {});
    this.legend = element('div', { class: 'row legend' });
    section.replaceChildren(element('h2', {}, 'Memory over time'), this.svg, this.legend,
      ...(data.moments.length ? [element('div', { class: 'row' }, element('label', {}, 'What grew from ', this.first), element('label', {}, ' to ', this.last),
        element('button', { type: 'button', on: { click: () => state.set({ from: null, to: null, zoom: 0 }) } }, 'Whole run'), this.said)] : []));
    this.listen();
    new ResizeObserver(() => this.draw()).observe(section);
  }

  // The lines that held the most at any moment, with what they held at each.
  largest() {
    const { data } = this, keys = data.keys('line'), owners = data.owners('relevant').frame;
    const most = new Float64Array(keys.names.length);
    const byMoment = data.moments.map(({ bytes }) => {
      const sums = new Float64Array(keys.names.length);
      bytes.forEach((value, callsite) => { sums[keys.of[owners[callsite]]] += value; });
      sums.forEach((value, key) => { most[key] = Math.max(most[key], value); });
      return sums;
    });
    const least = most.reduce((a, b) => Math.max(a, b), 0) / 200;
    const chosen = [...most.keys()].filter(key => most[key] > least).sort((a, b) => most[b] - most[a]).slice(0, Timeline.COLOURS.length);
    return chosen.map(key => ({ key, name: keys.names[key], bytes: byMoment.map(sums => sums[key]) }));
  }

  choose() {
    const value = select => select.value === '' ? null : Number(select.value);
    const [from, to] = [value(this.first), value(this.last)];
    if (to === null) this.state.set({ from: null, to: null, zoom: 0 });
    else this.state.set({ from: from !== null && from < to ? from : null, to, zoom: 0 });
  }

  x(seconds) { return Timeline.LEFT + seconds / this.end * (this.width - Timeline.LEFT - 8); }

  y(bytes) { return Timeline.HEIGHT - Timeline.BOTTOM - bytes / this.top * (Timeline.HEIGHT - Timeline.BOTTOM - 8); }

  nearest(event) {
    const bounds = this.svg.getBoundingClientRect();
    const seconds = (event.clientX - bounds.left - Timeline.LEFT) / (this.width - Timeline.LEFT - 8) * this.end;
    let nearest = 0;
    this.data.moments.forEach((it, at) => {
      if (Math.abs(it.seconds - seconds) < Math.abs(this.data.moments[nearest].seconds - seconds)) nearest = at;
    });
    return nearest;
  }

  listen() {
    if (!this.data.moments.length) return;
    let start = null;
    this.svg.addEventListener('pointerdown', event => { start = this.nearest(event); this.svg.setPointerCapture(event.pointerId); });
    this.svg.addEventListener('pointermove', event => {
      if (start === null) return;
      const at = this.nearest(event);
      this.brush = at === start ? null : [Math.min(start, at), Math.max(start, at)];
      this.draw();
    });
    this.svg.addEventListener('pointerup', event => {
      if (start === null) return;
      const at = this.nearest(event), [from, to] = at === start ? [null, at] : [Math.min(start, at), Math.max(start, at)];
      start = this.brush = null;
      this.state.set({ from, to, zoom: 0 });
    });
    this.svg.addEventListener('pointercancel', () => { start = this.brush = null; this.draw(); });
  }

  show() {
    if (!this.isShown) return;
    const { from, to } = this.state, { moments } = this.data;
    if (moments.length) {
      this.first.value = from ?? '';
      this.last.value = to ?? '';
      const sum = at => moments[at].bytes.reduce((a, b) => a + b, 0);
      this.said.textContent = to === null ? 'Click a moment, or drag between two.'
        : from === null ? `${formatBytes(sum(to))} live at ${formatSeconds(moments[to].seconds)}`
        : `${formatChange(sum(to) - sum(from), 'bytes')} from ${formatSeconds(moments[from].seconds)} to ${formatSeconds(moments[to].seconds)}`;
    }
    this.draw();
  }

  draw() {
    if (!this.isShown) return;
    this.width = this.svg.clientWidth || this.section.clientWidth;
    if (!this.width) return;
    const { heap, resident } = this.data.timeline, { moments } = this.data;
    const stacked = moments.map((_, at) => this.areas.reduce((sum, area) => sum + area.bytes[at], 0));
    this.top = Math.max(...heap.map(it => it[1]), ...resident.map(it => it[1]), ...stacked, 1) * 1.05;
    const parts = [];
    for (const tick of ticks(this.top)) {
      parts.push(drawing('line', { x1: Timeline.LEFT, x2: this.width - 8, y1: this.y(tick), y2: this.y(tick), stroke: 'var(--line)' }),
        drawing('text', { x: Timeline.LEFT - 6, y: this.y(tick) + 4, 'text-anchor': 'end' }, formatBytes(tick)));
    }
    for (let part = 0; part <= 4; part++) {
      const seconds = this.end * part / 4;
      parts.push(drawing('text', { x: this.x(seconds), y: Timeline.HEIGHT - 5, 'text-anchor': part === 0 ? 'start' : part === 4 ? 'end' : 'middle' }, formatSeconds(seconds)));
    }
    // What a snapshot shows holds until the next one.
    const steps = values => moments.flatMap(({ seconds }, at) => [seconds, moments[at + 1]?.seconds ?? this.end].map(it => `${this.x(it)},${this.y(values[at])}`));
    const base = moments.map(() => 0);
    this.areas.forEach((area, number) => {
      const lower = steps(base);
      area.bytes.forEach((bytes, at) => { base[at] += bytes; });
      const upper = steps(base);
      if (moments.length > 1) parts.push(drawing('polygon', { points: [...upper, ...lower.reverse()].join(' '), fill: Timeline.COLOURS[number], 'fill-opacity': 0.55 }));
    });
    const line = (points, attributes) => parts.push(drawing('polyline', { points: points.map(([at, bytes]) => `${this.x(at)},${this.y(bytes)}`).join(' '), fill: 'none', 'stroke-width': 1.6, ...attributes }));
    line(heap.length ? heap : moments.map(it => [it.seconds, it.bytes.reduce((a, b) => a + b, 0)]), { stroke: 'var(--ink)' });
    line(resident, { stroke: 'var(--resident)', 'stroke-dasharray': '5 3' });
    for (const { seconds } of moments) parts.push(drawing('line', { x1: this.x(seconds), x2: this.x(seconds), y1: Timeline.HEIGHT - Timeline.BOTTOM, y2: Timeline.HEIGHT - Timeline.BOTTOM + 4, stroke: 'var(--soft)' }));
    const [from, to] = this.brush ?? [this.state.from, this.state.to];
    if (to !== null) {
      const right = this.x(moments[to].seconds), left = from === null ? right - 1 : this.x(moments[from].seconds);
      parts.push(drawing('rect', { x: left, y: 0, width: Math.max(right - left, 2), height: Timeline.HEIGHT - Timeline.BOTTOM, fill: 'var(--focus)', 'fill-opacity': from === null ? 0.9 : 0.18 }));
    }
    this.svg.replaceChildren(...parts);
    const swatch = (style, text, act) => element('span', {}, element('span', { class: 'swatch', style }), act ? element('button', { type: 'button', on: { click: act } }, text) : text);
    this.legend.replaceChildren(swatch('background:var(--ink)', 'heap'), ...(resident.length ? [swatch('background:var(--resident)', 'resident memory (dashed)')] : []),
      ...this.areas.map((area, number) => swatch(`background:${Timeline.COLOURS[number]}`, shortened(area.name, 80), () => this.state.set({ by: 'line', selected: area.key }))));
  }
}

// Round values up to a top, in binary units.
function ticks(top) {
  const step = 2 ** Math.ceil(Math.log2(Math.max(top / 4, 1)));
  return Array.from({ length: Math.floor(top / step) }, (_, at) => (at + 1) * step);
}

// Histograms of sizes and of lifetimes, of the selected key or of all.
function showHistograms(section, data, view) {
  const cards = [], rows = view.selected >= 0 ? tableRows(data, view) : null;
  const isChosen = callsite => !rows || rows.keyOf(callsite) === view.selected;
  const { now } = data.values({ ...view, unit: 'blocks', metric: view.metric === 'growth' ? 'current' : view.metric });
  const sizes = new Map();
  data.sizeClass.forEach((size, callsite) => { if (size && isChosen(callsite) && now[callsite] > 0) sizes.set(size, (sizes.get(size) ?? 0) + now[callsite]); });
  const of = rows ? 'of the selected' : 'of all';
  if (sizes.size) cards.push(histogram(`Blocks by size, ${of}`, [...sizes].sort((a, b) => a[0] - b[0]).map(([size, blocks]) => [`≤ ${formatBytes(size)}`, blocks])));
  const lives = new Map();
  for (const [callsite, buckets] of data.lifetimes) {
    if (isChosen(callsite)) for (const [bucket, blocks] of buckets) lives.set(bucket, (lives.get(bucket) ?? 0) + blocks);
  }
  if (lives.size) cards.push(histogram(`Freed blocks by lifetime, ${of}`, [...lives].sort((a, b) => a[0] - b[0]).map(([bucket, blocks]) => [`≤ ${formatMicroseconds(2 ** bucket)}`, blocks])));
  section.replaceChildren(...cards);
}

function histogram(title, bars) {
  const most = Math.max(...bars.map(it => it[1])), all = bars.reduce((sum, it) => sum + it[1], 0);
  return element('section', { class: 'card' }, element('h2', {}, title), element('div', { class: 'histogram' }, ...bars.flatMap(([name, blocks]) => [
    element('span', {}, name), element('span', {}, element('i', { style: `width:${(100 * blocks / most).toFixed(2)}%` })), element('span', {}, `${formatCount(blocks)}  ${formatShare(blocks, all)}`),
  ])));
}

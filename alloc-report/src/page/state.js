// The state of the view. It is in the page's address, so that a link shows the same.

class State {
  constructor(data, changed) {
    this.data = data;
    this.changed = changed;
    const { metric } = data.about;
    this.defaults = {
      metric: data.isCompared ? 'growth' : data.has(metric) ? metric : 'total',
      unit: 'bytes', by: 'line', frames: 'relevant', inverted: false, flip: false,
      search: '', zoom: 0, selected: -1, sort: 'value', from: null, to: null,
    };
    this.choices = {
      metric: ['current', 'at_peak', 'peak', 'total', 'freed', 'temporary', 'growth'].filter(it => data.has(it)),
      unit: data.about.knows_blocks ? ['bytes', 'blocks'] : ['bytes'],
      by: ['line', 'function', 'module', 'crate', 'type', 'label', 'thread', 'stack'],
      frames: ['mine', 'relevant', 'all'],
      sort: ['value', 'own', 'inclusive', 'blocks', 'change', 'name'],
    };
    this.read();
    addEventListener('hashchange', () => {
      if (location.hash.slice(1) !== this.written) { this.read(); this.changed(); }
    });
  }

  // A value that is missing or wrong is the default: a link may come from another page.
  read() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const [name, fallback] of Object.entries(this.defaults)) {
      const text = given.get(name), number = Number(text);
      const isNumber = text !== null && text !== '' && Number.isInteger(number);
      if (text === null) this[name] = fallback;
      else if (this.choices[name]) this[name] = this.choices[name].includes(text) ? text : fallback;
      else if (typeof fallback === 'boolean') this[name] = text === '1';
      else if (typeof fallback === 'string') this[name] = text;
      else if (fallback === null) this[name] = isNumber && number >= 0 && number < this.data.moments.length ? number : null;
      else this[name] = isNumber ? number : fallback;
    }
    if (this.to === null || this.from !== null && this.from >= this.to) this.from = null;
  }

  // Changes the state, writes it into the address, and shows it.
  set(changes) {
    if (['by', 'frames', 'inverted'].some(it => it in changes && changes[it] !== this[it])) this.zoom = 0;
    if ('by' in changes && changes.by !== this.by) this.selected = -1;
    Object.assign(this, changes);
    const words = new URLSearchParams();
    for (const [name, fallback] of Object.entries(this.defaults)) {
      const value = this[name];
      if (value !== fallback) words.set(name, typeof value === 'boolean' ? Number(value) : value);
    }
    this.written = words.toString();
    history.replaceState(null, '', this.written ? `#${this.written}` : location.pathname + location.search);
    this.changed();
  }

  reset() { this.set({ ...this.defaults, by: this.by, zoom: 0 }); }
}

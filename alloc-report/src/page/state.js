// The state of a view. It is in the page's address, so that a link shows the same.

class State {
  // `defaults`: values by name, null for a number or none. `choices`: the texts that a name may have.
  constructor(data, defaults, choices, changed) {
    Object.assign(this, { data, defaults, choices, changed });
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
      else this[name] = isNumber ? number : fallback;
    }
    this.check();
  }

  // Replaces numbers for which there is nothing.
  check() {}

  // Changes the state, writes it into the address, and shows it.
  set(changes) {
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

  reset() { this.set({ ...this.defaults, by: this.by }); }
}

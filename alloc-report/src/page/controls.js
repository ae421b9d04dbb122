// Controls that each page has.

function choices(group, name, entries, pick) {
  group.replaceChildren(...entries.map(([value, text, isDisabled]) => element('label', {},
    element('input', { type: 'radio', name, value, disabled: Boolean(isDisabled), on: { change: () => pick(value) } }), text)));
}

function tile(value, text) {
  return element('div', { class: 'tile' }, element('b', {}, value), element('span', {}, text));
}

// What the head says: some words on what was measured, and notes on what is missing.
function showHead(words, notes) {
  byId('about').textContent = words.filter(it => it).map(it => shortened(it, 400)).join(' · ');
  byId('notes').hidden = !notes.length;
  byId('notes').replaceChildren(...notes.map(note => element('li', {}, shortened(note, 600))));
}

// What a colour means.
function swatch(colour, text) {
  return element('span', { class: 'meaning' }, element('span', { class: 'swatch', style: `background:${colour}` }), text);
}

const isDark = () => document.documentElement.classList.contains('dark');

// Switches between light and dark, on request and with the system.
function followTheme(show) {
  const set = dark => {
    document.documentElement.classList.toggle('dark', dark);
    byId('theme').textContent = dark ? '☀' : '☾';
    show();
  };
  byId('theme').addEventListener('click', () => set(!isDark()));
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', () => set(dark.matches));
  set(dark.matches);
}

// Calls `changed` with what is searched, `pause` milliseconds after the last key. A slash goes to the field.
function followSearch(pause, changed) {
  let timer;
  byId('search').addEventListener('input', event => {
    clearTimeout(timer);
    timer = setTimeout(() => changed(event.target.value), pause);
  });
  document.addEventListener('keydown', event => {
    if (event.key === '/' && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      byId('search').focus();
    }
  });
}

// Where the graph is: what it is zoomed to, and the ways out.
function showPath(tree, sums, zoom, go) {
  if (zoom === 0) { byId('path').replaceChildren('Click a box to zoom into it.'); return; }
  byId('path').replaceChildren(
    element('button', { type: 'button', on: { click: () => go(tree.parent[zoom]) } }, '↑ out'),
    element('button', { type: 'button', on: { click: () => go(0) } }, 'all'),
    `${shortened(tree.whole(zoom), 200)}: ${formatShare(sums.width[zoom], sums.width[0])} of all`);
}

// Which part of a graph is in or below what was found; nested matches count once.
function foundShare(tree, width, found) {
  const isBelow = new Uint8Array(tree.parent.length);
  let sum = 0;
  for (let node = 1; node < isBelow.length; node++) {
    const above = isBelow[tree.parent[node]];
    isBelow[node] = above || found[tree.key[node]];
    if (!above && isBelow[node]) sum += width[node];
  }
  return formatShare(sum, width[0]) || '0%';
}

// Where the resident memory goes, and the lines that keep the most pages.

const PART_COLOURS = ['#d9773f', '#c2a13a', '#b5547d', '#8a63b8', '#4f7fbf', '#3f8f86'];

function showResident(section, residence) {
  section.hidden = !residence;
  if (!residence) return;
  const { parts, resident, allocators, pinned, others } = residence;
  const sum = parts.reduce((all, [, bytes]) => all + bytes, 0);
  const said = parts.map(([name, bytes]) => `${name} ${formatBytes(bytes)}`).join(', ');
  const bar = element('div', { class: 'stacked', role: 'img', 'aria-label': `Resident memory: ${said}` },
    ...parts.map(([name, bytes], number) => element('i', {
      style: `width:${(100 * bytes / Math.max(sum, 1)).toFixed(3)}%;background:${PART_COLOURS[number]}`,
      title: `${name}: ${formatBytes(bytes)}, ${formatShare(bytes, sum)}`,
    })));
  const row = (swatch, bytes, share, name) => element('tr', {}, element('td', {}, formatBytes(bytes)), element('td', {}, share), element('td', {}, swatch, name));
  const table = element('table', { class: 'parts' }, element('tbody', {},
    ...parts.map(([name, bytes], number) => row(element('span', { class: 'swatch', style: `background:${PART_COLOURS[number]}` }), bytes, formatShare(bytes, sum), name)),
    row(null, sum, '100.0%', `total; the kernel counts ${formatBytes(resident)}`)));
  section.replaceChildren(element('h2', {}, `${formatBytes(resident)} are resident, and ${formatBytes(parts[0][1])} of that are live blocks`),
    bar, table, ...allocators.map(text => element('p', { class: 'said' }, shortened(text, 400))), ...pinnedLines(pinned, others));
}

function pinnedLines(pinned, others) {
  if (!pinned.length) return [];
  const heads = ['unused', 'given back', 'if together', 'live', 'blocks', 'line'];
  const cell = (tag, text, at) => element(tag, { class: at === 3 || at === 4 ? 'wide' : null }, text);
  const rows = pinned.map(it => [formatBytes(it.unused), formatBytes(it.given_back), formatBytes(it.if_together), formatBytes(it.live), formatCount(it.blocks), shortened(it.line)]);
  return [
    element('h3', {}, 'What live blocks keep resident besides themselves'),
    element('table', { class: 'pinned' }, element('thead', {}, element('tr', {}, ...heads.map((text, at) => cell('th', text, at)))),
      element('tbody', {}, ...rows.map(texts => element('tr', {}, ...texts.map((text, at) => cell('td', text, at)))))),
    others ? element('p', { class: 'said' }, `and ${formatCount(others)} more ${others === 1 ? 'line' : 'lines'}`) : null,
    element('p', { class: 'said' }, 'Unused: free bytes in the pages of the blocks. Given back: what the system gets if the blocks are freed. If together: what it gets if they are placed next to each other.'),
  ].filter(it => it);
}

// Parts of tables: heads that sort, and rows that are selected.

// How many rows a table has at first.
const PAGE = 50;

// The head of a column. `sorted`: '▾' or '▴' if the table is sorted by it. Without `sort` it is text.
function headCell(text, { sorted, sort, isWide }) {
  const direction = { '▴': 'ascending', '▾': 'descending' }[sorted];
  return element('th', { class: isWide ? 'wide' : null, 'aria-sort': direction },
    sort ? element('button', { type: 'button', 'aria-pressed': String(Boolean(sorted)), on: { click: sort } }, sorted ? `${text} ${sorted}` : text) : text);
}

// A row that a click or the enter key selects, and arrow keys leave.
function selectableRow(key, isSelected, select, cells) {
  return element('tr', { tabindex: 0, 'data-key': key, 'aria-selected': String(isSelected), on: {
    click: () => select(key),
    keydown: event => {
      if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); select(key); }
      const next = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
      if (next && event.currentTarget[next]) { event.preventDefault(); event.currentTarget[next].focus(); }
    },
  } }, ...cells);
}

// A bar below a name, as long as its part of the most.
function bar(part, most) {
  return element('span', { class: 'bar', style: `width:${(100 * part / most).toFixed(2)}%` });
}

// Replaces what a section shows. The row that has the focus keeps it.
function showTable(section, head, body, ...others) {
  const focused = section.contains(document.activeElement) ? document.activeElement.dataset?.key : undefined;
  section.replaceChildren(element('table', {}, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...body)), ...others);
  if (focused !== undefined) section.querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
}

function moreButton(rest, show) {
  return rest > 0 ? element('button', { class: 'more', type: 'button', on: { click: show } }, `Show more of the other ${formatCount(rest)}`) : '';
}

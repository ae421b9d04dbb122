// The table of types, lines or roots by what they retain.

class RowsTable {
  constructor(section, act) {
    Object.assign(this, { section, act, shown: PAGE });
  }

  // Returns how many rows match.
  show(heap, view, matches) {
    const identity = JSON.stringify([view.by, view.search, view.sort]);
    if (identity !== this.identity) { this.shown = PAGE; this.identity = identity; }
    const rows = heap.rows(view.by), whole = heap.about.bytes, name = row => heap.strings[rows[row].name];
    const chosen = rows.map((_, row) => row).filter(row => matches === null || matches(rows[row]));
    if (view.sort === 'name') chosen.sort((a, b) => (name(a) < name(b) ? -1 : 1));
    else chosen.sort((a, b) => rows[b][view.sort] - rows[a][view.sort] || a - b);
    // Roots have no blocks of their own.
    const hasOwn = view.by !== 'root';
    const heads = [['retained', 'retained'], [null, 'share'], ...(hasOwn ? [['bytes', 'own size']] : []), ['blocks', 'blocks'], ['name', view.by]];
    const head = heads.map(([id, text]) => headCell(text, {
      sorted: view.sort !== id ? null : id === 'name' ? '▴' : '▾',
      sort: id && (() => this.act.sort(id)),
      isWide: ['bytes', 'blocks'].includes(id),
    }));
    const most = Math.max(...chosen.slice(0, this.shown).map(row => rows[row].retained), 1);
    const body = chosen.slice(0, this.shown).map(row => {
      const { retained, bytes, blocks, source } = rows[row];
      return selectableRow(row, row === view.selected, this.act.select, [
        element('td', {}, formatBytes(retained)),
        element('td', {}, formatShare(retained, whole)),
        ...(hasOwn ? [element('td', { class: 'wide' }, formatBytes(bytes))] : []),
        element('td', { class: 'wide' }, formatCount(blocks)),
        element('td', {}, element('span', { class: 'name' }, shortened(name(row))), bar(retained, most),
          source ? element('code', { class: 'source' }, shortened(heap.strings[source], 200)) : null),
      ]);
    });
    const leftOut = heap.tables[view.by].left_out;
    showTable(this.section, head, body,
      chosen.length ? '' : element('p', { class: 'empty' }, view.search ? `Nothing matches ${shortened(view.search, 80)}.` : 'Nothing is live.'),
      moreButton(chosen.length - this.shown, () => { this.shown += 4 * PAGE; this.act.redraw(); }),
      leftOut ? element('p', { class: 'empty' }, `${formatCount(leftOut)} that retain less are not on this page.`) : '');
    return chosen.length;
  }
}

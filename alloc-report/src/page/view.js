// What the page of a snapshot shows.

class View extends State {
  constructor(data, changed) {
    const { metric } = data.about;
    super(data, {
      metric: data.isCompared ? 'growth' : data.has(metric) ? metric : 'total',
      unit: 'bytes', by: 'line', frames: 'relevant', inverted: false, flip: false,
      search: '', zoom: 0, selected: -1, sort: 'value', from: null, to: null,
    }, {
      metric: ['current', 'at_peak', 'peak', 'total', 'freed', 'temporary', 'growth'].filter(it => data.has(it)),
      unit: data.about.knows_blocks ? ['bytes', 'blocks'] : ['bytes'],
      by: ['line', 'function', 'module', 'crate', 'type', 'label', 'thread', 'stack'],
      frames: ['mine', 'relevant', 'all'],
      sort: ['value', 'own', 'inclusive', 'blocks', 'change', 'name'],
    }, changed);
  }

  check() {
    const isMoment = at => at !== null && at >= 0 && at < this.data.moments.length;
    for (const name of ['from', 'to']) if (!isMoment(this[name])) this[name] = null;
    if (this.to === null || this.from !== null && this.from >= this.to) this.from = null;
  }

  set(changes) {
    if (['by', 'frames', 'inverted'].some(it => it in changes && changes[it] !== this[it])) this.zoom = 0;
    if ('by' in changes && changes.by !== this.by) this.selected = -1;
    super.set(changes);
  }
}

// The flame graph, drawn on a canvas.

// Hue, strength, and lightness in light and dark: by what a tree says where a node is from.
const HUES = [[22, 88, 68, 36], [172, 42, 70, 30], [220, 10, 82, 32], [270, 26, 78, 36], [214, 60, 80, 34], [350, 80, 76, 38]];

function colourOf(origin, isDark, spread = 6) {
  const [hue, strength, light, dark] = HUES[origin];
  return `hsl(${hue + spread - 6} ${strength}% ${(isDark ? dark : light) + spread / 2 - 3}%)`;
}

class Flame {
  static ROW = 20;
  static LEAST = 0.7;

  // `act.select(node)`, `act.zoom(node)`.
  constructor(canvas, act) {
    Object.assign(this, { canvas, act, boxes: [], at: 0, hovered: null });
    canvas.addEventListener('click', event => {
      const box = this.boxAt(event);
      if (!box) return;
      this.at = box.node;
      act.zoom(box.node);
    });
    canvas.addEventListener('mousemove', event => this.hover(event));
    canvas.addEventListener('mouseleave', () => this.hide());
    canvas.addEventListener('keydown', event => this.press(event));
    canvas.addEventListener('focus', () => { this.draw(); this.speak(); });
    canvas.addEventListener('blur', () => { this.hide(); this.draw(); });
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  // `view`: tree, sums (width, now, before or null), unit, zoom, flip, matches (a byte for each key, or null), isSelected
  // (of a key), isGrowth, note (more words on a node, or none).
  show(view) {
    this.view = view;
    if (this.at >= view.tree.parent.length || !this.isBelow(this.at, view.zoom)) this.at = view.zoom;
    this.draw();
  }

  isBelow(node, above) {
    const { parent } = this.view.tree;
    while (node > above) node = parent[node];
    return node === above;
  }

  // The children of a node that have a width, the widest first.
  widest(node) {
    const { tree, sums } = this.view;
    const known = this.sorted ??= new Map();
    if (this.sortedFor !== sums.width) { known.clear(); this.sortedFor = sums.width; }
    if (!known.has(node)) {
      const children = Array.from(tree.childrenOf(node)).filter(child => sums.width[child] > 0);
      known.set(node, children.sort((a, b) => sums.width[b] - sums.width[a] || a - b));
    }
    return known.get(node);
  }

  // The boxes to draw: those above the zoomed node in full width, then it and those below.
  layout(width) {
    const { tree, sums, zoom } = this.view, boxes = [], above = [];
    for (let node = zoom; node !== 0; node = tree.parent[node]) above.push(tree.parent[node]);
    above.reverse().forEach((node, depth) => boxes.push({ node, x: 0, width, depth, isAbove: true }));
    const whole = sums.width[zoom], scale = whole > 0 ? width / whole : 0;
    const open = [{ node: zoom, x: 0, width: whole > 0 ? width : 0, depth: above.length }];
    while (open.length) {
      const box = open.pop();
      if (box.width > 0) boxes.push(box);
      let { x } = box, hidden = 0;
      for (const node of this.widest(box.node)) {
        const room = sums.width[node] * scale;
        if (room < Flame.LEAST) { hidden += room; continue; }
        open.push({ node, x, width: room, depth: box.depth + 1 });
        x += room;
      }
      if (hidden >= Flame.LEAST) boxes.push({ node: -1, x, width: hidden, depth: box.depth + 1 });
    }
    return boxes;
  }

  draw() {
    if (!this.view) return;
    const { canvas, view } = this, ratio = devicePixelRatio || 1;
    const width = canvas.parentElement.clientWidth;
    if (!width) return;
    this.boxes = this.layout(width);
    this.depth = this.boxes.reduce((most, box) => Math.max(most, box.depth + 1), 1);
    // A canvas has a limit of about 32,000 pixels.
    this.depth = Math.min(this.depth, Math.floor(32000 / ratio / Flame.ROW));
    const height = this.depth * Flame.ROW;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext('2d');
    pen.scale(ratio, ratio);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = 'middle';
    this.isDark = document.documentElement.classList.contains('dark');
    const styles = getComputedStyle(document.documentElement);
    this.ink = { mark: styles.getPropertyValue('--mark'), focus: styles.getPropertyValue('--focus'), soft: styles.getPropertyValue('--soft') };
    for (const box of this.boxes) if (box.depth < this.depth) this.drawBox(pen, box, view);
    if (!(this.boxes.length > 0)) {
      pen.fillStyle = this.ink.soft;
      pen.fillText('Nothing to show: all is zero.', 4, Flame.ROW / 2);
    }
  }

  top(box) { return (this.view.flip ? this.depth - 1 - box.depth : box.depth) * Flame.ROW; }

  drawBox(pen, box, view) {
    const y = this.top(box), height = Flame.ROW - 1, width = Math.max(box.width - 1, 0.5);
    const key = box.node > 0 ? view.tree.key[box.node] : -1;
    const isMatch = view.matches !== null && key >= 0 && view.matches[key] === 1;
    const isFaint = box.isAbove || view.matches !== null && !isMatch;
    if (box.node < 0) {
      pen.fillStyle = this.isDark ? '#2c3138' : '#e4e4e0';
      pen.fillRect(box.x, y, width, height);
      return;
    }
    pen.globalAlpha = isFaint ? 0.42 : 1;
    pen.fillStyle = this.colour(box.node, view);
    pen.fillRect(box.x, y, width, height);
    pen.globalAlpha = 1;
    const isSelected = key >= 0 && view.isSelected(key);
    if (isMatch || isSelected) {
      pen.fillStyle = isSelected ? this.ink.focus : this.ink.mark;
      pen.fillRect(box.x, y + height - 3, width, 3);
    }
    if (document.activeElement === this.canvas && box.node === this.at) {
      pen.strokeStyle = this.ink.focus;
      pen.lineWidth = 2;
      pen.strokeRect(box.x + 1, y + 1, Math.max(width - 2, 1), height - 2);
    }
    if (width < 28) return;
    pen.fillStyle = this.isDark ? '#f4f4f2' : '#1d1f21';
    const text = fitted(pen, this.label(box.node), width - 8);
    if (text) pen.fillText(text, box.x + 4, y + height / 2 + 0.5);
  }

  label(node) {
    const { tree, sums, unit, isGrowth } = this.view, name = shortened(tree.name(node), 160);
    if (node === 0) return `all  ${this.amount(0)}`;
    return isGrowth ? `${formatChange(sums.now[node] - sums.before[node], unit)}  ${name}` : name;
  }

  amount(node) {
    const { sums, unit, isGrowth } = this.view;
    return isGrowth ? formatChange(sums.now[node] - sums.before[node], unit) : formatValue(sums.now[node], unit);
  }

  // Origin by hue; in a comparison growth and shrinkage, the stronger the larger its part.
  colour(node, view) {
    const { tree, sums } = view;
    if (sums.before && node >= 0) {
      const change = sums.now[node] - sums.before[node], part = sums.width[node] ? Math.min(Math.abs(change) / sums.width[node], 1) : 0;
      if (part < 0.005) return this.isDark ? '#474c54' : '#d7d7d3';
      const [hue, strength] = [change > 0 ? 6 : 214, 25 + 60 * part];
      return `hsl(${hue} ${strength}% ${this.isDark ? 42 - 8 * part : 84 - 20 * part}%)`;
    }
    if (node === 0) return this.isDark ? '#3b4048' : '#d9d9d5';
    const spread = (Math.imul(tree.key[node] + 1, 2654435761) >>> 0) % 12;
    return colourOf(tree.origin(node), this.isDark, spread);
  }

  boxAt(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left, y = event.clientY - bounds.top;
    const row = Math.floor(y / Flame.ROW), depth = this.view.flip ? this.depth - 1 - row : row;
    return this.boxes.find(box => box.depth === depth && x >= box.x && x < box.x + box.width && box.node >= 0) ?? null;
  }

  hover(event) {
    const box = this.boxAt(event);
    if (box) this.showTip(box.node, event.clientX, event.clientY); else this.hide();
  }

  // Describes a node next to a point of the window.
  showTip(node, x, y) {
    const tip = byId('tip');
    if (this.hovered !== node) {
      this.hovered = node;
      tip.replaceChildren(...this.describe(node));
    }
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18}px`;
  }

  hide() { byId('tip').hidden = true; this.hovered = null; }

  describe(node) {
    const { tree, sums, unit, note } = this.view, place = tree.place(node);
    const share = formatShare(sums.width[node], sums.width[0]);
    const change = sums.before ? element('small', {}, `${formatValue(sums.before[node], unit)} before, ${formatValue(sums.now[node], unit)} now`) : null;
    return [
      element('b', {}, shortened(tree.whole(node), 400)),
      element('small', {}, place ? shortened(place) : ''),
      element('div', {}, [this.amount(node), `${share || '0%'} of all`, note?.(node)].filter(it => it).join(', ')), change,
    ].filter(it => it);
  }

  speak() {
    const { tree } = this.view;
    byId('spoken').textContent = `${shortened(tree.name(this.at), 120)}, ${this.amount(this.at)}`;
  }

  press(event) {
    const { tree, zoom } = this.view, siblings = this.at === zoom ? [this.at] : this.widest(tree.parent[this.at]);
    const at = siblings.indexOf(this.at);
    const [inner, outer] = this.view.flip ? ['ArrowUp', 'ArrowDown'] : ['ArrowDown', 'ArrowUp'];
    const to = {
      [inner]: () => this.widest(this.at)[0],
      [outer]: () => this.at === 0 ? undefined : tree.parent[this.at],
      ArrowLeft: () => siblings[at - 1],
      ArrowRight: () => siblings[at + 1],
      Home: () => zoom,
    }[event.key];
    if (to) {
      const node = to();
      if (node !== undefined) this.at = node;
      this.draw();
      this.speak();
    } else if (event.key === 'Enter' || event.key === ' ') this.act.zoom(this.at);
    else if (event.key === 'Escape') { this.at = zoom === 0 ? 0 : tree.parent[zoom]; this.act.zoom(this.at); }
    else return;
    this.reveal();
    event.preventDefault();
  }

  // Scrolls to the node that has the focus, and describes it.
  reveal() {
    const box = this.boxes.find(it => it.node === this.at);
    if (!box) return;
    const scroll = this.canvas.parentElement, y = this.top(box);
    if (y < scroll.scrollTop) scroll.scrollTop = y;
    else if (y + Flame.ROW > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = y + Flame.ROW - scroll.clientHeight;
    const bounds = this.canvas.getBoundingClientRect();
    this.showTip(this.at, bounds.left + box.x, bounds.top + y + Flame.ROW - 14);
  }
}

// The beginning of a text that fits, with an ellipsis if it was cut.
function fitted(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let least = 0, most = text.length;
  while (least < most) {
    const middle = (least + most + 1) >> 1;
    if (pen.measureText(`${text.slice(0, middle)}…`).width <= room) least = middle; else most = middle - 1;
  }
  return least < 2 ? '' : `${text.slice(0, least)}…`;
}

"use strict";
const $ = id => document.getElementById(id);
const make = (name, attributes, parent, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
};
const html = (name, parent, text, className) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  parent.append(element);
  return element;
};
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const unitOf = bytes => {
  let unit = 0;
  while (bytes >= 1024 ** (unit + 1) && unit < UNITS.length - 1) unit++;
  return unit;
};
const size = bytes => {
  const unit = unitOf(bytes);
  return (bytes / 1024 ** unit).toFixed(unit ? 1 : 0) + " " + UNITS[unit];
};
const round = (wanted, rounds) => {
  const power = 10 ** Math.floor(Math.log10(wanted));
  return rounds.map(it => it * power).find(it => it >= wanted * 0.999999) ?? 10 * power;
};
const roundTime = wanted => wanted > 30
  ? [60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400].find(it => it >= wanted) ?? 86400 * Math.ceil(wanted / 86400)
  : round(wanted, [1, 2, 5, 10]);
const timeText = (seconds, step) => step >= 3600 ? +(seconds / 3600).toFixed(1) + " h"
  : step >= 60 ? +(seconds / 60).toFixed(1) + " min"
  : seconds.toFixed(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9))) + " s";

// The number of points at or before a time.
const count = (points, at, time) => {
  let low = 0, high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (time(points[middle]) <= at) low = middle + 1; else high = middle;
  }
  return low;
};
const valueAt = (points, at) => points[count(points, at, it => it[0]) - 1]?.[1];
const momentAt = at => count(data.times, at, it => it) - 1;

let from = 0, to = data.end;
let chosen = -1;
let plot;

// Reduces the visible points to the first, lowest, highest and last point of each column of pixels.
// The last point before the visible ones is kept, too.
const seen = points => {
  const first = Math.max(0, count(points, from, it => it[0]) - 1);
  const shown = points.slice(first, count(points, to, it => it[0]));
  const kept = [];
  for (let i = 0; i < shown.length;) {
    const column = Math.floor(plot.x(shown[i][0]));
    let low = i, high = i, end = i;
    for (; end < shown.length && Math.floor(plot.x(shown[end][0])) === column; end++) {
      if (shown[end][1] < shown[low][1]) low = end;
      if (shown[end][1] > shown[high][1]) high = end;
    }
    for (const at of [...new Set([i, low, high, end - 1])].sort((a, b) => a - b)) kept.push(shown[at]);
    i = end;
  }
  return kept;
};
// A step line: each value lasts until the next one.
const steps = (points, end) => {
  let path = "";
  points.forEach(([at, bytes], i) => {
    const x = plot.x(Math.max(at, from)).toFixed(1), y = plot.y(bytes).toFixed(1);
    path += i ? `H${x}V${y}` : `M${x} ${y}`;
  });
  return points.length ? path + `H${plot.x(Math.min(end, to)).toFixed(1)}` : "";
};
// The area between two step lines: along the upper one, and back along the lower one.
const band = (upper, lower, end) => {
  if (!upper.length) return "";
  let path = steps(upper, end);
  for (let i = lower.length - 1; i >= 0; i--) {
    const y = plot.y(lower[i][1]).toFixed(1);
    path += `V${y}H${plot.x(Math.max(lower[i][0], from)).toFixed(1)}`;
  }
  return path + "Z";
};

const highest = () => {
  let most = 0;
  const points = [data.heap, data.resident, data.tracer.map(([at, , top]) => [at, top])];
  for (const line of points) {
    const start = Math.max(0, count(line, from, it => it[0]) - 1);
    for (let i = start; i < line.length && line[i][0] <= to; i++) most = Math.max(most, line[i][1]);
  }
  for (let i = Math.max(0, momentAt(from)); i < data.times.length && data.times[i] <= to; i++)
    most = Math.max(most, data.areas.reduce((sum, it) => sum + it.bytes[i], 0));
  const peak = data.peak;
  if (peak?.between && peak.between[1] >= from && peak.between[0] <= to) most = Math.max(most, peak.bytes);
  return Math.max(most, 1);
};

function draw() {
  const svg = $("plot"), width = $("chart").clientWidth, height = Math.max(240, Math.min(420, width * 0.5));
  const top = highest(), unit = unitOf(top), scale = 1024 ** unit;
  const step = round(top / scale / 5, [1, 2, 5, 10]), rows = Math.max(1, Math.ceil(top / scale / step - 1e-9));
  const digits = unit ? Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)) : 0;
  const label = row => (row * step).toFixed(digits) + " " + UNITS[unit];
  const left = 14 + 7 * label(rows).length, right = width - 12, upper = 24, bottom = height - 28;
  plot = {
    left, right, upper, bottom, width,
    x: at => left + (right - left) * Math.min(1, Math.max(0, (at - from) / (to - from))),
    y: bytes => bottom - (bottom - upper) * bytes / (rows * step * scale),
    at: x => from + (to - from) * Math.min(1, Math.max(0, (x - left) / (right - left))),
  };
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  for (let row = 0; row <= rows; row++) {
    const y = plot.y(row * step * scale);
    make("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }, svg);
    make("text", { class: "quiet", x: left - 8, y: y + 4, "text-anchor": "end" }, svg, label(row));
  }
  const ticks = roundTime((to - from) / Math.max(2, Math.floor((right - left) / 80)));
  for (let at = Math.ceil(from / ticks - 1e-9) * ticks; at <= to + 1e-9; at += ticks) {
    const x = plot.x(at);
    make("line", { class: "grid", x1: x, x2: x, y1: bottom, y2: bottom + 5 }, svg);
    make("text", { class: "quiet", x, y: bottom + 20, "text-anchor": "middle" }, svg, timeText(at, ticks));
  }
  if (data.tracer.length) {
    const tops = seen(data.tracer.map(([at, , sum]) => [at, sum]));
    const bases = tops.map(([at]) => [at, valueAt(data.heap, at) ?? 0]);
    make("path", { class: "tracer", d: band(tops, bases, data.end) }, svg);
  }
  const first = Math.max(0, momentAt(from));
  const moments = data.times.map((at, i) => [at, i]).slice(first).filter(([at]) => at <= to);
  let below = moments.map(([at]) => [at, 0]);
  data.areas.forEach((area, number) => {
    const above = moments.map(([at, i], n) => [at, below[n][1] + area.bytes[i]]);
    const path = make("path", { class: "a" + Math.min(number, 8) + (number === chosen ? " chosen" : ""),
      d: band(above, below, data.end) }, svg);
    path.addEventListener("click", () => choose(number));
    below = above;
  });
  make("path", { class: "resident", d: steps(seen(data.resident), data.end) }, svg);
  make("path", { class: "heap", d: steps(seen(data.heap), data.end) }, svg);
  const peak = data.peak;
  if (peak?.between && peak.between[1] >= from && peak.between[0] <= to) {
    const [x1, x2] = peak.between.map(plot.x), y = plot.y(peak.bytes);
    if (x2 - x1 > 10) make("line", { class: "peak", x1, x2, y1: y, y2: y }, svg);
    if (data.peakIsMoment) make("circle", { class: "dot", cx: x2, cy: y, r: 4 }, svg);
    const isRight = x2 > width / 2;
    make("text", { class: "strong halo", x: isRight ? x2 - 8 : x1 + 8, y: y - 8,
      "text-anchor": isRight ? "end" : "start" }, svg, "peak " + size(peak.bytes));
  }
  plot.cursor = make("line", { class: "cursor", y1: upper, y2: bottom, visibility: "hidden" }, svg);
  plot.brush = make("rect", { class: "brush", y: upper, height: bottom - upper, width: 0 }, svg);
  $("reset").hidden = from === 0 && to === data.end;
}

function showNumbers(x) {
  const at = plot.at(x), tip = $("tip");
  plot.cursor.setAttribute("x1", plot.x(at));
  plot.cursor.setAttribute("x2", plot.x(at));
  plot.cursor.setAttribute("visibility", "visible");
  tip.replaceChildren();
  const row = (name, bytes) => {
    if (bytes === undefined) return;
    const line = html("div", tip);
    // The element keeps the order of a path when its start is cut.
    html("bdi", html("span", line), name);
    html("b", line, size(bytes));
  };
  html("b", tip, at.toFixed(data.end < 10 ? 2 : 1) + " s");
  row("resident", valueAt(data.resident, at));
  row("heap", valueAt(data.heap, at));
  const own = data.tracer[count(data.tracer, at, it => it[0]) - 1];
  row("tracer", own && own[2] - own[1]);
  const moment = momentAt(at);
  if (moment >= 0) {
    const taken = data.snapshots[count(data.snapshots, at, it => it) - 1];
    html("div", tip, data.isPeak === moment || taken === undefined ? "at the peak" : "snapshot at " + taken.toFixed(2) + " s");
    [...data.areas.keys()].reverse().filter(i => data.areas[i].bytes[moment]).forEach(i =>
      row(data.areas[i].name, data.areas[i].bytes[moment]));
  }
  tip.hidden = false;
  const space = plot.width - tip.offsetWidth;
  const right = plot.x(at) + 14;
  tip.style.left = Math.max(0, right <= space ? right : plot.x(at) - 14 - tip.offsetWidth) + "px";
}

function choose(number) {
  chosen = number;
  const source = data.areas[number].source, panel = $("source");
  [...$("legend").querySelectorAll("button")].forEach(it => it.classList.toggle("chosen", it.dataset.area === String(number)));
  panel.replaceChildren();
  draw();
  if (!source) return;
  html("h2", panel, `${source.path}:${source.line}`);
  if (source.function) html("p", panel, "in " + source.function);
  if (!source.lines.length) {
    html("p", panel, "The source file was not found when this page was made.");
    return;
  }
  const pre = html("pre", panel);
  for (const [line, text] of source.lines)
    html("span", pre, String(line).padStart(5) + "  " + text + "\n", line === source.line ? "here" : "");
}

function legend() {
  const list = $("legend");
  const entry = (draw, name, most, area) => {
    const button = html("button", html("li", list));
    draw(make("svg", { viewBox: "0 0 22 12" }, button));
    html("span", button, name);
    html("b", button, most);
    button.disabled = area === undefined || !data.areas[area].source;
    if (area !== undefined) {
      button.dataset.area = area;
      button.addEventListener("click", () => choose(area));
    }
  };
  const most = points => "at most " + size(points.reduce((most, it) => Math.max(most, it[1]), 0));
  const line = kind => svg => make("line", { class: kind, x1: 0, x2: 22, y1: 6, y2: 6 }, svg);
  const box = kind => svg => make("rect", { class: kind, width: 22, height: 12, rx: 2 }, svg);
  if (data.heap.length) entry(line("heap"), "heap, as the tracer counts it", most(data.heap));
  if (data.peak) entry(svg => make("circle", { class: "dot", cx: 11, cy: 6, r: 4 }, svg), "peak of the heap, " + data.peakWhen, size(data.peak.bytes));
  if (data.resident.length) entry(line("resident"), "resident memory, as the system counts it", most(data.resident));
  if (data.tracer.length)
    entry(box("tracer"), "the tracer itself, above the heap", most(data.tracer.map(([at, heap, top]) => [at, top - heap])));
  data.areas.forEach((area, i) => entry(box("a" + Math.min(i, 8)), area.name, "at most " + size(Math.max(...area.bytes)), i));
}

// A drag along the time axis zooms in; a tap or a move shows the numbers.
let start;
const chart = $("chart");
const place = event => event.clientX - chart.getBoundingClientRect().left;
chart.addEventListener("pointerdown", event => {
  start = place(event);
  showNumbers(start);
});
chart.addEventListener("pointermove", event => {
  const x = place(event);
  showNumbers(x);
  if (start === undefined || !event.buttons) return;
  const [a, b] = [start, x].map(it => Math.min(plot.right, Math.max(plot.left, it))).sort((a, b) => a - b);
  plot.brush.setAttribute("x", a);
  plot.brush.setAttribute("width", b - a);
});
addEventListener("pointerup", event => {
  if (start === undefined) return;
  const [a, b] = [start, place(event)].sort((a, b) => a - b);
  start = undefined;
  if (b - a < 8) return plot.brush.setAttribute("width", 0);
  const [first, last] = [plot.at(a), plot.at(b)];
  if (last - first < data.end / 1e5) return plot.brush.setAttribute("width", 0);
  [from, to] = [first, last];
  draw();
});
addEventListener("pointercancel", () => { start = undefined; plot.brush.setAttribute("width", 0); });
chart.addEventListener("pointerleave", () => {
  // On a narrow screen it stays below the picture, so that the page does not jump.
  $("tip").hidden = getComputedStyle($("tip")).position === "absolute";
  plot.cursor.setAttribute("visibility", "hidden");
});
const reset = () => { [from, to] = [0, data.end]; draw(); };
chart.addEventListener("dblclick", reset);
$("reset").addEventListener("click", reset);
addEventListener("resize", draw);
legend();
draw();

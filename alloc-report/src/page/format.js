'use strict';
// Numbers and times as text, and elements of the page.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

function formatBytes(bytes) {
  let value = Math.abs(bytes), unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${bytes < 0 ? '−' : ''}${value.toFixed(digits)} ${UNITS[unit]}`;
}

function formatCount(count) {
  return `${count < 0 ? '−' : ''}${Math.abs(Math.round(count)).toLocaleString('en-US')}`;
}

function formatValue(value, unit) { return unit === 'blocks' ? formatCount(value) : formatBytes(value); }

// A change has its sign, so that it does not depend on colour.
function formatChange(value, unit) {
  return value === 0 ? '0' : (value > 0 ? '+' : '') + formatValue(value, unit);
}

function formatShare(part, whole) {
  if (!whole) return '';
  const share = 100 * part / whole;
  return share !== 0 && Math.abs(share) < 0.1 ? '<0.1%' : `${share.toFixed(1)}%`;
}

function formatSeconds(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds), pad = number => String(number).padStart(2, '0');
  const hours = Math.floor(whole / 3600), rest = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return hours ? `${hours}:${rest} h` : `${rest} min`;
}

function formatMicroseconds(time) {
  if (time < 1e3) return `${time} µs`;
  if (time < 1e6) return `${+(time / 1e3).toPrecision(3)} ms`;
  return time < 120e6 ? `${+(time / 1e6).toPrecision(3)} s` : formatSeconds(time / 1e6);
}

// A name that is safe to show: control characters and marks that change the direction of text are written out.
function visible(name) {
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff]/g,
    mark => `\\u{${mark.codePointAt(0).toString(16)}}`);
}

function shortened(name, most = 300) {
  const text = visible(name.length > 4 * most ? name.slice(0, 4 * most) : name);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text || '<empty>';
}

// Makes an element. Text is always text: nothing in the data becomes markup.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child != null));
  return made;
}

const byId = id => document.getElementById(id);

// Zones on a camera's picture: drawn and changed by mouse or by keys alone, kept as shares of the picture.
const SVG = 'http://www.w3.org/2000/svg';
const NEAR = 14; // pixels within which a click means a point that is there
const STEP = 0.005;
const STRIDE = 0.05;

const root = document.querySelector('[data-zones]');
const svg = document.getElementById('zones-svg');
const picture = document.getElementById('zones-frame');
const field = root.querySelector('input[name="zones"]');
const list = document.getElementById('zone-list');
const row = document.getElementById('zone-row');
const says = document.getElementById('zones-say');
const editable = 'edit' in root.dataset;

let zones = read();
let chosen = zones.length ? 0 : -1;
let drawing = null; // the points of a zone that is being drawn
let cursor = [0.5, 0.5]; // where a point would go, for those who draw by keys
let byKeys = false;
let held = null; // the point that the mouse holds

function read() {
  try { return JSON.parse(field.value); } catch { return []; }
}

const say = (name, values = {}) => {
  if (says) says.textContent = root.dataset[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '');
};
const share = (value) => Math.min(1, Math.max(0, Math.round(value * 10000) / 10000));
const size = () => [svg.clientWidth || 1, svg.clientHeight || 1];
const pixels = ([x, y]) => { const [width, height] = size(); return [x * width, y * height]; };

function at(event) {
  const box = svg.getBoundingClientRect();
  return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
}

function near(one, other) {
  const [a, b] = [pixels(one), pixels(other)];
  return Math.hypot(a[0] - b[0], a[1] - b[1]) <= NEAR;
}

function changed() {
  field.value = JSON.stringify(zones);
  field.dispatchEvent(new Event('input', { bubbles: true }));
  draw();
}

// ---- the picture ----------------------------------------------------------------------------------------------

async function load() {
  for (;;) {
    try {
      const answer = await fetch(root.dataset.picture, { headers: { 'X-Requested-With': 'console' } });
      if (answer.status === 200) {
        if (picture.src.startsWith('blob:')) URL.revokeObjectURL(picture.src);
        picture.src = URL.createObjectURL(await answer.blob());
        document.getElementById('zones-none').hidden = true;
        return;
      }
    } catch { /* no network: the page's band says so */ }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

// ---- what is shown --------------------------------------------------------------------------------------------

function make(name, attributes, parent = svg) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

const path = (points) => points.map((point) => pixels(point).map((v) => v.toFixed(1)).join(',')).join(' ');

function draw() {
  const focused = document.activeElement?.dataset?.handle;
  svg.replaceChildren();
  const [width, height] = size();
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  zones.forEach((zone, index) => {
    if (!zone.polygon.length) return;
    make('polygon', { points: path(zone.polygon), class: index === chosen && !drawing ? 'zone chosen' : 'zone', 'data-zone': index });
    const [x, y] = pixels(zone.polygon[0]);
    make('text', { x: Math.min(x + 10, width - 60), y: Math.max(22, y - 8) }).textContent = String(index + 1);
  });
  if (editable && !drawing && zones[chosen]) handles(zones[chosen].polygon);
  if (drawing) drawDrawing();
  rows();
  if (focused) svg.querySelector(`[data-handle="${focused}"]`)?.focus();
}

function handles(points) {
  points.forEach((point, index) => {
    const next = points[(index + 1) % points.length];
    const [mx, my] = pixels([(point[0] + next[0]) / 2, (point[1] + next[1]) / 2]);
    handle(mx, my, 6, 'between', `b${index}`, root.dataset.sayBetween.replace('{number}', index + 1));
    const [x, y] = pixels(point);
    handle(x, y, 9, 'corner', `c${index}`, root.dataset.sayPoint.replace('{number}', index + 1));
  });
}

function handle(x, y, radius, kind, name, label) {
  make('circle', { cx: x, cy: y, r: radius, class: kind, tabindex: 0, role: 'button', 'aria-label': label, 'data-handle': name });
}

function drawDrawing() {
  make('polyline', { points: path(byKeys ? [...drawing, cursor] : drawing), class: 'zone drawing' });
  for (const point of drawing) { const [x, y] = pixels(point); make('circle', { cx: x, cy: y, r: 7, class: 'corner' }); }
  if (byKeys) {
    const [x, y] = pixels(cursor);
    make('path', { d: `M${x - 16} ${y}h32M${x} ${y - 16}v32`, class: 'cursor' });
  }
}

function rows() {
  while (list.children.length > zones.length) list.lastElementChild.remove();
  zones.forEach((zone, index) => {
    if (!list.children[index]) list.append(row.content.cloneNode(true));
    const item = list.children[index];
    item.classList.toggle('chosen', index === chosen);
    const name = item.querySelector('[data-choose]');
    name.textContent = `${index + 1} ${zone.id}`;
    name.setAttribute('aria-pressed', String(index === chosen));
    item.querySelector('[data-purpose]').value = zone.purpose;
    item.querySelector('[data-crowd]').hidden = zone.purpose !== 'occupancy-limit';
    const persons = item.querySelector('[data-persons]');
    if (document.activeElement !== persons) persons.value = zone.most_persons ?? '';
  });
  document.getElementById('zone-empty').hidden = zones.length > 0;
  for (const name of ['zone-finish', 'zone-drop']) { const button = document.getElementById(name); if (button) button.hidden = !drawing; }
  const begin = document.getElementById('zone-new');
  if (begin) begin.hidden = Boolean(drawing);
}

// ---- drawing --------------------------------------------------------------------------------------------------

function begin() {
  drawing = [];
  byKeys = false;
  say('sayDraw');
  draw();
  svg.focus();
}

function place(point) {
  if (drawing.length >= 3 && near(point, drawing[0])) { finish(); return; }
  if (drawing.length && near(point, drawing.at(-1))) return;
  drawing.push(point);
  say('sayPlaced', { count: drawing.length });
  draw();
}

function finish() {
  if (drawing.length < 3) { say('sayThree'); return; }
  zones.push({ id: free(), purpose: 'watched', polygon: drawing, most_persons: null });
  chosen = zones.length - 1;
  drawing = null;
  say('sayClosed');
  changed();
  list.lastElementChild?.querySelector('[data-purpose]')?.focus();
}

function free() {
  const taken = new Set([...zones.map((zone) => zone.id), ...root.dataset.others.split(' ')]);
  const stem = root.dataset.cameraId.slice(0, 52);
  for (let number = 1; ; number += 1) if (!taken.has(`${stem}-zone-${number}`)) return `${stem}-zone-${number}`;
}

function drop() {
  drawing = null;
  say('sayDropped');
  draw();
}

function choose(index) {
  chosen = index;
  draw();
}

// ---- points of a zone that is there ---------------------------------------------------------------------------

function corner(name) {
  const index = Number(name.slice(1));
  if (name[0] === 'c') return index;
  const points = zones[chosen].polygon;
  const next = points[(index + 1) % points.length];
  points.splice(index + 1, 0, [share((points[index][0] + next[0]) / 2), share((points[index][1] + next[1]) / 2)]);
  changed();
  return index + 1;
}

function removeCorner(index) {
  if (zones[chosen].polygon.length <= 3) { say('sayThree'); return; }
  zones[chosen].polygon.splice(index, 1);
  changed();
}

// ---- mouse and keys -------------------------------------------------------------------------------------------

svg.addEventListener('pointerdown', (event) => {
  if (event.button !== 0) return;
  if (drawing) { event.preventDefault(); byKeys = false; svg.focus(); place(at(event)); return; }
  const name = event.target.dataset?.handle;
  if (name && editable) {
    event.preventDefault();
    held = corner(name);
    svg.setPointerCapture(event.pointerId);
    svg.querySelector(`[data-handle="c${held}"]`)?.focus();
  } else if (event.target.dataset?.zone) choose(Number(event.target.dataset.zone));
});
svg.addEventListener('pointermove', (event) => {
  if (held === null) return;
  zones[chosen].polygon[held] = at(event);
  draw();
});
svg.addEventListener('pointerup', () => { if (held !== null) { held = null; changed(); } });
svg.addEventListener('dblclick', () => { if (drawing && drawing.length >= 3) finish(); });

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function moved([x, y], event, step) {
  const [dx, dy] = MOVES[event.key];
  const far = event.shiftKey ? STRIDE : step;
  return [share(x + dx * far), share(y + dy * far)];
}

function drawKey(event) {
  if (event.key in MOVES) { byKeys = true; cursor = moved(cursor, event, 2 * STEP); draw(); }
  else if (event.key === ' ') { byKeys = true; place([...cursor]); }
  else if (event.key === 'Enter') finish();
  else if (event.key === 'Backspace') { drawing.pop(); say('sayPlaced', { count: drawing.length }); draw(); }
  else if (event.key === 'Escape') drop();
  else return false;
  return true;
}

function pointKey(event, name) {
  if (event.key in MOVES) {
    const index = corner(name);
    zones[chosen].polygon[index] = moved(zones[chosen].polygon[index], event, STEP);
    changed();
    svg.querySelector(`[data-handle="c${index}"]`)?.focus();
  } else if ((event.key === 'Delete' || event.key === 'Backspace') && name[0] === 'c') removeCorner(corner(name));
  else if ((event.key === 'Enter' || event.key === ' ') && name[0] === 'b') svg.querySelector(`[data-handle="c${corner(name)}"]`)?.focus();
  else return false;
  return true;
}

svg.addEventListener('keydown', (event) => {
  if (!editable || event.ctrlKey || event.metaKey || event.altKey) return;
  const name = event.target.dataset?.handle;
  const done = drawing ? drawKey(event) : name ? pointKey(event, name) : false;
  if (done) { event.preventDefault(); event.stopPropagation(); }
});
document.addEventListener('keydown', (event) => {
  if (!editable || event.key.toLowerCase() !== 'n' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea') || drawing) return;
  event.preventDefault();
  begin();
});

list.addEventListener('click', (event) => {
  const item = event.target.closest('li');
  if (!item) return;
  const index = [...list.children].indexOf(item);
  if (event.target.closest('[data-remove]')) {
    const [gone] = zones.splice(index, 1);
    chosen = Math.min(chosen, zones.length - 1);
    say('sayRemoved', { zone: gone.id });
    changed();
  } else if (!event.target.closest('select, input')) choose(index);
});
list.addEventListener('input', (event) => {
  event.stopPropagation();
  const zone = zones[[...list.children].indexOf(event.target.closest('li'))];
  if ('purpose' in event.target.dataset) { zone.purpose = event.target.value; if (zone.purpose !== 'occupancy-limit') zone.most_persons = null; }
  if ('persons' in event.target.dataset) zone.most_persons = event.target.value ? Number(event.target.value) : null;
  changed();
});
document.getElementById('zone-new')?.addEventListener('click', begin);
document.getElementById('zone-finish')?.addEventListener('click', finish);
document.getElementById('zone-drop')?.addEventListener('click', drop);
document.getElementById('zone-frame')?.addEventListener('click', load);
new ResizeObserver(draw).observe(svg);
draw();
load();
root.dataset.ready = 'yes';

// The line to the server: its clock, its word, and what a page does while there is none.
import { $, $$, asked, notice } from './dom.js';
import { beep } from './sound.js';

const SILENCE = 5000; // milliseconds without a word after which a page says that it may be wrong
const DOUBT = 2500; // milliseconds without a word after which it is asked before a page is left: a pulse comes every 2 s
const PATIENCE = 4000; // milliseconds for the answer to that

let offset = Date.parse(document.body.dataset.now) - Date.now() || 0; // the server's clock minus this browser's
let heard = performance.now();
let heardAt = null;
let source = null;
let lastId = null;
let told = {};
let unsent = null;

export const now = () => Date.now() + offset;
const shift = Number(document.body.dataset.offset ?? 0) * 60000; // the mine's time zone, whatever this browser's is
const clockText = (time) => new Date(time + shift).toISOString().slice(11, 19);
const units = document.body.dataset.units.split('|');
const silence = () => performance.now() - heard;

export function ageText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, divisor, index] of [[86400, 3600, 0], [3600, 60, 1], [60, 1, 2]]) {
    if (whole >= size) return `${Math.floor(whole / size)} ${units[index]} ${Math.floor((whole % size) / divisor)} ${units[index + 1]}`;
  }
  return `${whole} ${units[3]}`;
}

export function tick() {
  for (const time of $$('time[data-age]')) {
    const text = ageText((now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
  const clock = $('[data-clock]');
  if (clock) clock.textContent = clockText(now());
  listenForSilence();
}

// `hearers`: what to do with a change, with the queue's lines, and when the page has to be loaded anew.
export function connect(hearers = told) {
  told = hearers;
  const address = document.body.dataset.events;
  if (!address) return;
  source?.close();
  source = new EventSource(lastId ? address.replace(/after=\d+/, `after=${lastId}`) : address);
  source.addEventListener('pulse', (event) => hear(event));
  source.addEventListener('change', (event) => { hear(event); told.changed(JSON.parse(event.data)); });
  source.addEventListener('queue', (event) => { hear(event); told.follow(JSON.parse(event.data)); });
  source.addEventListener('reload', (event) => { hear(event); told.reload(); });
  source.onerror = () => {
    // The browser gives up for good on an answer that is no stream (a proxy's error, a session that is over).
    if (source.readyState === EventSource.CLOSED) setTimeout(reconnect, 2000);
  };
}

async function reconnect() {
  try {
    const answer = await fetch('/urgent', { headers: asked });
    if (answer.status === 401) { location.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`; return; }
  } catch { /* still no network: the banner says so already */ }
  connect();
}

function hear(event) {
  heard = performance.now();
  lastId = event.lastEventId || lastId;
  const said = event.data ? JSON.parse(event.data) : {};
  if (said.now) { heardAt = said.now; offset = Date.parse(said.now) - Date.now(); }
  if (said.silent) {
    $('#silent').hidden = said.silent.length === 0;
    const names = $('[data-silent]');
    names.textContent = said.silent.map((stage) => names.dataset[stage] ?? stage).join(', ');
  }
  if (unsent) { const form = unsent; unsent = null; acknowledge(form); }
}

function listenForSilence() {
  if (!document.body.dataset.events) return;
  const lost = silence() > SILENCE;
  const band = $('#lost');
  if (lost && band.hidden) {
    $('[data-lost]').textContent = heardAt ? clockText(Date.parse(heardAt)) : '–';
    band.hidden = false;
    beep(330, 3);
  } else if (!lost && !band.hidden) {
    band.hidden = true;
    if ($('#notice')?.textContent === band.dataset.stay) $('#notice').remove();
    told.reload?.();
  }
}

// An acknowledgement that does not get through is kept, and sent once the server is heard again: it takes it once.
export async function acknowledge(form) {
  let answer;
  try {
    answer = await fetch(form.action, { method: 'POST', body: new FormData(form), headers: asked, signal: AbortSignal.timeout(2 * PATIENCE) });
  } catch {
    unsent = form;
    notice($('#lost').dataset.unsent, true);
    return;
  }
  const said = await answer.json().catch(() => ({}));
  notice(said.sentence ?? '', !answer.ok);
  told.reload();
}

// Runs `go` at once while the server is heard. After a silence it is asked first: a page that is left for one that does
// not come loses its banner, its sound and what was written on it.
export async function whenHeard(go) {
  if (!document.body.dataset.events || (silence() < DOUBT && navigator.onLine)) { go(); return; }
  try {
    await fetch('/healthz', { headers: asked, signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    notice($('#lost').dataset.stay, true);
    return;
  }
  go();
}

export const doubtful = () => Boolean(document.body.dataset.events) && (silence() >= DOUBT || !navigator.onLine);
export const leave = (address) => whenHeard(() => { location.href = address; });

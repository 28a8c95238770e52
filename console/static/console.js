// The console's one script: keys, live changes, sound. Every page works without it, but for being live.
import { $, $$, announce, asked } from './dom.js';
import { keepEdits } from './keep.js';
import { acknowledge, connect, doubtful, leave, tick, whenHeard } from './line.js';
import { beep, sayState, sound, toggleSound, unlock } from './sound.js';
import { watchWall } from './wall.js';

const page = document.body.dataset.page;
const SETTLE = 600; // milliseconds for which decision keys rest after the shown alert changed by itself
const IDLE = 15000; // milliseconds after the last key or click from which the most urgent alert is shown again

let acted = -Infinity;
let changedAt = -Infinity;
let selected = $('[data-alert]')?.dataset.alert ?? null;

// ---- what the server tells of the queue -----------------------------------------------------------------------

// The queue is told its lines; an alert's page is drawn anew when that alert changed, the wall at most once a second.
function changed(change) {
  if (change.action === 'test-alarm') heardTest();
  if (page === 'alert' && location.pathname.split('/')[2] === change.subject.split(/[/-]/)[1]) reload();
  else if (page !== 'queue' && page !== 'alert' && document.body.dataset.liveUrl !== '/urgent') reload();
}

// The test alarm has come as far as this page: it sounds once, and the answer says how long it took.
async function heardTest() {
  const token = $('[name=form_token]');
  if (!token || !$('#tested')) return;
  beep(520, 2);
  const answer = await fetch('/test-alarm', { method: 'POST', body: new URLSearchParams({ form_token: token.value }), headers: asked });
  const said = answer.ok ? await answer.json().catch(() => null) : null;
  if (said) { $('#tested').textContent = said.sentence; announce(said.sentence); }
}

function follow(said) {
  followStrip(said.strip);
  if (page === 'queue') {
    for (const [tab, count] of Object.entries(said.counts)) for (const place of $$(`[data-count="${tab}"]`)) place.textContent = count;
    for (const [identity, key, line] of said.lines) followLine(identity, key, line);
    followEnd();
    followCard(said.lines.map(([identity]) => identity));
    mark();
  }
  sound();
}

function parsed(markup) {
  const holder = document.createElement('template');
  holder.innerHTML = markup;
  return holder.content.firstElementChild;
}

function followStrip(markup) {
  const fresh = parsed(markup);
  const old = $('#urgent');
  if (!old || !fresh) return;
  if (page === 'queue' || fresh.dataset.top === location.pathname.split('/')[2]) fresh.replaceChildren();
  const focused = document.activeElement?.id === 'urgent-link';
  old.replaceWith(fresh);
  if (focused) $('#urgent-link')?.focus();
  const count = Number(fresh.dataset.count);
  document.title = (count ? `(${count}) ` : '') + document.title.replace(/^\(\d+\) /, '');
}

function followLine(identity, key, line) {
  const rows = $('#rows');
  const old = document.getElementById(`r-${identity}`);
  if (!line) { old?.remove(); return; }
  const fresh = parsed(line);
  if (old && old.dataset.key === key) { if (old.dataset.version !== fresh.dataset.version) old.replaceWith(fresh); return; }
  old?.remove();
  const most = Number(rows.dataset.most);
  let low = 0;
  let high = rows.children.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows.children[middle].dataset.key < key) low = middle + 1; else high = middle;
  }
  if (low >= most) return;
  rows.insertBefore(fresh, rows.children[low] ?? null);
  if (rows.children.length > most) rows.lastElementChild.remove();
  if (!old) announceRow(fresh);
}

let whole = 0;

// Lines behind the last one come up when others go; how many there are is asked for now and then.
function followEnd() {
  const most = Number($('#rows').dataset.most);
  const short = $('#rows').children.length < most;
  if (($('#behind').textContent || !short) && performance.now() - whole > (short ? 1000 : 10000)) { whole = performance.now(); reload(); }
}

function followCard(identities) {
  const first = $('#rows tr')?.id.slice(2) ?? null;
  const resting = performance.now() - acted >= IDLE;
  const wish = selected && !resting && document.getElementById(`r-${selected}`) ? selected : first;
  if (wish === null) { if (selected || !$('#card .empty')) reload(); return; }
  if (wish !== selected || identities.includes(wish)) loadCard(wish);
}

let carding = false;
let cardAgain = null;

async function loadCard(identity) {
  if (carding) { cardAgain = identity; return; }
  carding = true;
  try {
    const first = $('#rows tr')?.id.slice(2) ?? '';
    const answer = await fetch(`/card?selected=${identity}&top=${first}`, { headers: asked });
    if (answer.ok) {
      const card = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('card');
      if (drawn.get('card') !== card.dataset.version) {
        const held = $('#card').contains(document.activeElement) ? document.activeElement.closest('[data-open], [data-decide], button')?.textContent : null;
        $('#card').replaceWith(document.adoptNode(card));
        drawn.set('card', card.dataset.version);
        if (held) [...$$('.act', card)].find((act) => act.textContent === held)?.focus();
        cardChanged(card);
        mark();
      }
    } else if (answer.status === 401) location.href = '/login';
  } catch { /* the banner says so after 5 s */ }
  await new Promise((done) => setTimeout(done, 100));
  carding = false;
  if (cardAgain) { const next = cardAgain; cardAgain = null; loadCard(next); }
}

let loading = false;
let again = false;

async function reload() {
  if (loading) { again = true; return; }
  loading = true;
  try {
    const address = new URL(document.body.dataset.liveUrl || '/urgent', location.href);
    if (page === 'queue' && selected && performance.now() - acted < IDLE) address.searchParams.set('selected', selected);
    const answer = await fetch(address, { headers: asked });
    if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    else if (answer.status === 401) location.href = '/login';
  } catch { /* the banner says so after 5 s, and the next word from the server loads again */ }
  await new Promise((done) => setTimeout(done, page === 'queue' || page === 'alert' ? 100 : 1000));
  loading = false;
  if (again) { again = false; reload(); }
}

const drawn = new Map($$('[data-live]').map((part) => [part.id, part.dataset.version ?? part.outerHTML]));

// The lines behind the first ones wait until those are painted, because laying out hundreds takes longer than all else.
function unfold() {
  const rest = $('#rest');
  if (!rest) return;
  $('#rows').append(...rest.children);
  rest.remove();
  mark();
}

function swap(fresh) {
  unfold();
  const title = fresh.title;
  if (page === 'queue' || page === 'alert') document.title = title;
  for (const part of $$('[data-live]', fresh)) {
    const old = document.getElementById(part.id);
    if (!old) continue;
    const version = part.dataset.version ?? part.outerHTML;
    if ('keyed' in part.dataset) { swapRows(old, part); continue; }
    if (drawn.get(part.id) === version) continue;
    if ('careful' in part.dataset && (old.contains(document.activeElement) || $('dialog[open]', old)) && $('dialog[open]', old)) continue;
    const held = document.activeElement?.id && old.contains(document.activeElement) ? document.activeElement.id : null;
    const open = 'keepOpen' in part.dataset ? $$('details', old).map((d) => d.open) : [];
    old.replaceWith(document.adoptNode(part));
    open.forEach((was, index) => { const d = $$('details', part)[index]; if (d) d.open = was; });
    if (held) document.getElementById(held)?.focus();
    drawn.set(part.id, version);
    if (part.id === 'card') cardChanged(part);
  }
  mark();
  sound();
}

function swapRows(old, fresh) {
  const known = new Map([...old.children].map((row) => [row.id, row]));
  let before = old.firstElementChild;
  for (const row of [...fresh.children]) {
    const present = known.get(row.id);
    known.delete(row.id);
    let kept = present;
    if (!present || present.dataset.version !== row.dataset.version) {
      kept = document.adoptNode(row);
      if (present) { if (before === present) before = present.nextElementSibling; present.replaceWith(kept); }
      else announceRow(kept);
    }
    if (kept !== before) old.insertBefore(kept, before); else before = before.nextElementSibling;
  }
  for (const row of known.values()) row.remove();
}

function announceRow(row) {
  if (row.classList.contains('unacked')) announce([...row.cells].slice(0, 4).map((cell) => cell.textContent.trim()).join(', '));
}

// ---- the queue ------------------------------------------------------------------------------------------------

const rowIds = () => $$('#rows tr').map((row) => row.id.slice(2));

function cardChanged(card) {
  const shown = $('[data-alert]', card)?.dataset.alert ?? null;
  if (shown !== selected) { selected = shown; changedAt = performance.now(); }
}

function mark() {
  for (const row of $$('#rows tr')) row.classList.toggle('chosen', row.id === `r-${selected}`);
}

async function choose(identity) {
  selected = identity;
  mark();
  document.getElementById(`r-${identity}`)?.scrollIntoView({ block: 'nearest' });
  await loadCard(identity);
  if (selected === identity) announce($('#card .what h2')?.textContent ?? '');
}

function move(step) {
  const ids = rowIds();
  if (!ids.length) return;
  const at = ids.indexOf(selected);
  const next = ids[Math.min(ids.length - 1, Math.max(0, at + step))];
  if (next !== selected) choose(next);
}

// ---- keys -----------------------------------------------------------------------------------------------------

const singleKeys = () => localStorage.getItem('single-keys') !== 'off';
const typing = (target) => target.closest?.('input, textarea, select, [contenteditable]') && target.type !== 'checkbox';

function help() {
  const dialog = $('#help');
  if (dialog.open) dialog.close(); else dialog.showModal();
}

function openDialog(identity) {
  const dialog = document.getElementById(identity);
  if (dialog && !dialog.open) { dialog.showModal(); $('textarea', dialog)?.focus(); }
}

function press(button) {
  if ('openClause' in button.dataset) openClause();
  else if (button.dataset.dialog) openDialog(button.dataset.dialog);
  else button.click();
}

const go = { h: '/hazards/new', q: '/', c: '/clauses' };

// Opens the cited clauses beside the document one after the other, and puts the focus on the one that is open.
function openClause() {
  const cited = $$('.cited details[id]');
  if (!cited.length) return;
  const at = cited.findIndex((clause) => clause.contains(document.activeElement));
  const next = cited[(at + 1) % cited.length];
  for (const clause of cited) clause.open = clause === next;
  $('summary', next).focus();
  next.scrollIntoView({ block: 'nearest' });
}

function queueKey(key) {
  if (key === 'j' || key === 'k') { move(key === 'j' ? 1 : -1); return true; }
  const settled = performance.now() - changedAt > SETTLE;
  if (key === 'enter' && selected) { leave(`/alerts/${selected}`); return true; }
  if (key === 'a') {
    const form = $('#card form[data-acknowledge]');
    if (form && settled) acknowledge(form);
    return true;
  }
  if ('prx'.includes(key) && selected) {
    const link = $(`#card [data-decide="${key}"]`);
    if (link && settled) leave(link.href);
    return true;
  }
  return false;
}

function onKey(event) {
  acted = performance.now();
  if (event.key === 'F2' && $('#urgent-link')) { event.preventDefault(); $('#urgent-link').click(); return; }
  if (event.ctrlKey && event.key === 'Enter') { event.target.closest?.('form')?.requestSubmit(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !singleKeys()) return;
  const dialog = $('dialog[open]');
  if (dialog && dialog.id !== 'help') {
    const quick = !typing(event.target) || event.target.value === '';
    const button = quick && /^[1-9]$/.test(event.key) ? $$('[data-reason]', dialog)[Number(event.key) - 1] : null;
    if (button) { event.preventDefault(); button.click(); }
    return;
  }
  if (typing(event.target)) { if (event.key === 'Escape') event.target.blur(); return; }
  const key = event.key.toLowerCase();
  if (key === 'enter' && event.target.closest?.('a, button, summary')) return;
  if (event.repeat && key !== 'j' && key !== 'k') return;
  if (key === '?') help();
  else if (key === 's') toggleSound();
  else if (key === 'g' && $('#urgent-link')) $('#urgent-link').click();
  else if (key === 'g' && page === 'queue' && rowIds().length) choose(rowIds()[0]);
  else if (page === 'queue' && queueKey(key)) { /* done */ }
  else if ($(`[data-key="${CSS.escape(key)}"]`)) press($(`[data-key="${CSS.escape(key)}"]`));
  else if (key in go && document.body.dataset.events) leave(go[key]);
  else return;
  event.preventDefault();
}

function onClick(event) {
  acted = performance.now();
  const target = event.target;
  if (target.closest('#sound')) { toggleSound(); return; }
  unlock();
  if (target.closest('[data-help]')) help();
  const close = target.closest('[data-close]');
  if (close) close.closest('dialog').close();
  const opener = target.closest('[data-dialog]');
  if (opener) openDialog(opener.dataset.dialog);
  if (target.closest('[data-open-clause]')) openClause();
  const reason = target.closest('[data-reason]');
  if (reason) {
    const field = $('textarea', reason.closest('form'));
    field.value = reason.lastChild.textContent.trim();
    field.focus();
  }
  const row = target.closest('#rows tr');
  if (row && !target.closest('a')) choose(row.id.slice(2));
  const way = target.closest('a[href]:not([download], [href^="#"])');
  if (way && doubtful()) { event.preventDefault(); leave(way.href); }
}

function onSubmit(event) {
  const form = event.target;
  if ('acknowledge' in form.dataset) { event.preventDefault(); acknowledge(form); return; }
  if (doubtful() && !form.dataset.heard) {
    event.preventDefault();
    event.stopPropagation(); // nothing of it was sent: what is kept of an edit must not say so
    const button = event.submitter;
    whenHeard(() => { form.dataset.heard = 'yes'; form.requestSubmit(button); delete form.dataset.heard; });
    return;
  }
  if ('once' in form.dataset) {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = 'yes';
  }
}

document.addEventListener('keydown', (event) => { unlock(); onKey(event); });
document.addEventListener('click', onClick);
document.addEventListener('submit', onSubmit, true);
keepEdits();
document.addEventListener('visibilitychange', () => { if (!document.hidden) reload(); });
$('#single-keys')?.addEventListener('change', (event) => localStorage.setItem('single-keys', event.target.checked ? 'on' : 'off'));
if ($('#single-keys')) $('#single-keys').checked = singleKeys();
$('[data-filters]')?.addEventListener('change', (event) => event.currentTarget.requestSubmit());
$('[data-apply]')?.setAttribute('hidden', '');
if (location.hash.length > 1) {
  const wish = location.hash.slice(1);
  openDialog(`dialog-${wish}`);
  if (/^\w+$/.test(wish)) document.getElementById(wish)?.focus();
}
const onward = $('[data-follow]');
if (onward) setTimeout(() => { location.href = onward.href; }, 1000);
mark();
sayState();
sound();
watchWall(reload);
if ($('[data-zones]')) import('./zones.js');
if ($('[data-try]')) import('./try.js');
tick();
setInterval(tick, 500);

let begun = false;

function begin() {
  if (begun) return;
  begun = true;
  unfold();
  connect({ changed, follow, reload });
  document.documentElement.dataset.ready = 'yes';
}

if ($('#rest')) {
  requestAnimationFrame(() => setTimeout(begin));
  setTimeout(begin, 1000); // a page that nobody looks at is not painted
} else begin();

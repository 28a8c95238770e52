// What is being written is kept in this tab until it was sent: an alert may call away in the middle of a sentence.
const who = document.body.dataset.who ?? '';
const PREFIX = `keep:${who}:`;
const here = location.pathname;
const form = document.querySelector('form[data-keep]');
const fields = () => [...form.querySelectorAll('textarea, select, input[data-kept], input:not([type=hidden], [type=file], [type=checkbox], [type=password])')].filter((field) => field.name);

function stored() {
  return Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX)).map((key) => [key, JSON.parse(sessionStorage.getItem(key))]);
}

function store(sent) {
  const values = Object.fromEntries(fields().map((field) => [field.name, field.value]));
  sessionStorage.setItem(PREFIX + here, JSON.stringify({ values, sent, title: document.title.replace(/^\(\d+\) /, '').split(' · ').slice(0, 2).join(' · '), at: Date.now() }));
}

function restore() {
  const said = sessionStorage.getItem(PREFIX + here);
  if (!said) return;
  const { values, sent } = JSON.parse(said);
  if (form.dataset.keep === 'saved') { sessionStorage.removeItem(PREFIX + here); return; }
  // What was refused, or only looked at, comes back from the server as it was typed.
  if (sent) { store(false); return; }
  for (const field of fields()) if (field.name in values) field.value = values[field.name];
}

export function keepEdits() {
  if (!who) return;
  for (const [key, kept] of stored()) if (kept.sent && key !== PREFIX + here) sessionStorage.removeItem(key);
  if (form) {
    restore();
    form.addEventListener('input', () => store(false));
    form.addEventListener('submit', () => store(true));
    for (const link of document.querySelectorAll('[data-abandon]')) link.addEventListener('click', () => sessionStorage.removeItem(PREFIX + here));
  }
  const [key, last] = stored().filter(([name, kept]) => name !== PREFIX + here && !kept.sent).sort((a, b) => b[1].at - a[1].at)[0] ?? [];
  const link = document.getElementById('unfinished');
  if (!link || !last) return;
  link.href = key.slice(PREFIX.length);
  link.querySelector('strong').textContent = last.title;
  link.hidden = false;
}

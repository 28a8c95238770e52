// What the clause in the form would match, asked anew a moment after the last key.
const box = document.querySelector('[data-try]');
const form = box.closest('form');
const answer = box.querySelector('#matches');
let waiting = null;
let asked = null;

async function ask() {
  asked?.abort();
  asked = new AbortController();
  answer.setAttribute('aria-busy', 'true');
  try {
    const found = await fetch(box.dataset.try, { method: 'POST', body: new FormData(form), headers: { 'X-Requested-With': 'console' }, signal: asked.signal });
    if (found.ok || found.status === 422) answer.innerHTML = await found.text();
    answer.removeAttribute('aria-busy');
  } catch (error) {
    if (error.name !== 'AbortError') answer.removeAttribute('aria-busy');
  }
}

form.addEventListener('input', () => { clearTimeout(waiting); waiting = setTimeout(ask, 500); });
box.querySelector('button').addEventListener('click', (event) => { event.preventDefault(); ask(); });

// What every part of the console's script needs of the page.
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
export const asked = { 'X-Requested-With': 'console' };
export const announce = (sentence) => { $('#announce').textContent = sentence; };

export function notice(sentence, wrong) {
  $('#notice')?.remove();
  const line = document.createElement('p');
  line.id = 'notice';
  line.className = wrong ? 'wrong' : 'notice';
  line.textContent = sentence;
  ($('dialog[open] form') ?? $('#main')).prepend(line);
  announce(sentence);
  if (!wrong) setTimeout(() => line.remove(), 6000);
}

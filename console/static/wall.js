// The wall: each camera's latest picture, and how old it is.
import { $, $$, asked } from './dom.js';
import { ageText, now } from './line.js';

const PICTURES = 450; // milliseconds between two looks for a camera's next picture, of which there are two a second
const STATES = 5000; // milliseconds between two looks at the cameras' health, of which no change tells

let looking = false;

// All pictures that are new come in one answer: sixteen cameras ask no more of the server than one.
async function pictures(tiles) {
  if (looking || document.hidden) return;
  looking = true;
  try {
    const have = tiles.filter((tile) => tile.dataset.taken).map((tile) => `${tile.dataset.camera}~${tile.dataset.taken}`).join(',');
    const answer = await fetch(`/wall/pictures?have=${encodeURIComponent(have)}`, { headers: asked });
    if (answer.ok) unpack(await answer.arrayBuffer());
  } catch { /* the pictures grow old, and the tiles say so */ }
  looking = false;
  tiles.forEach(showAge);
}

function unpack(content) {
  const length = new DataView(content).getUint32(0);
  let at = 4 + length;
  for (const [camera, taken, size] of JSON.parse(new TextDecoder().decode(content.slice(4, at)))) {
    const tile = $(`[data-camera="${camera}"]`);
    if (tile) showPicture(tile, taken, content.slice(at, at + size));
    at += size;
  }
}

function showPicture(tile, taken, jpeg) {
  const image = $('[data-live-picture]', tile);
  const old = image.src;
  image.src = URL.createObjectURL(new Blob([jpeg], { type: 'image/jpeg' }));
  image.hidden = false;
  if (old.startsWith('blob:')) URL.revokeObjectURL(old);
  tile.dataset.taken = taken;
}

function showAge(tile) {
  const taken = tile.dataset.taken;
  if (!taken) return;
  const seconds = (now() - Date.parse(taken)) / 1000;
  $('[data-old]', tile).hidden = seconds <= Number(tile.parentElement.dataset.stale);
  for (const place of $$('[data-old-age]', tile)) place.textContent = ageText(seconds);
}

export function watchWall(reload) {
  const tiles = $$('[data-camera]');
  if (!tiles.length) return;
  setInterval(() => pictures(tiles), PICTURES);
  setInterval(reload, STATES);
}

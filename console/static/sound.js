// Sound: off until something was pressed, as browsers want it; red sounds until it is acknowledged.
import { $ } from './dom.js';

let audio = null;
let wanted = localStorage.getItem('sound') !== 'off';

export function unlock() {
  if (wanted && !audio && window.AudioContext) audio = new AudioContext();
  audio?.resume().then(sayState);
}

export function sayState() {
  const button = $('#sound');
  if (!button) return;
  const on = wanted && audio?.state === 'running';
  button.textContent = on ? button.dataset.on : wanted ? button.dataset.locked : button.dataset.off;
  button.setAttribute('aria-pressed', String(on));
}

export function toggleSound() {
  wanted = !(wanted && audio?.state === 'running');
  localStorage.setItem('sound', wanted ? 'on' : 'off');
  if (wanted) unlock();
  sayState();
  if (wanted) sound();
}

export function beep(pitch, times) {
  if (!wanted || audio?.state !== 'running') return;
  for (let n = 0; n < times; n += 1) {
    const at = audio.currentTime + n * 0.28;
    const tone = audio.createOscillator();
    const loudness = audio.createGain();
    tone.type = 'square';
    tone.frequency.value = pitch;
    loudness.gain.setValueAtTime(0.12, at);
    loudness.gain.exponentialRampToValueAtTime(0.001, at + 0.22);
    tone.connect(loudness).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.24);
  }
}

// A browser lets a page sound at once where a key or click led to it; elsewhere it waits for the first one.
if ($('#sound')) unlock();

let sounding = null;

const RANKS = ['critical', 'high', 'medium', 'low'];
let heardTop = $('#urgent')?.dataset.top;

// What is more urgent than the alert in hand is heard once, also where it is not red.
function soundAbove() {
  const { top, rank } = $('#urgent')?.dataset ?? {};
  const inHand = document.body.dataset.inHand;
  if (top && top !== heardTop && inHand && RANKS.indexOf(rank) < RANKS.indexOf(inHand)) beep(660, 2);
  heardTop = top;
}

export function sound() {
  soundAbove();
  const red = Number($('#urgent')?.dataset.critical ?? 0) > 0;
  if (red && !sounding) { beep(880, 3); sounding = setInterval(() => beep(880, 3), 3000); }
  if (!red && sounding) { clearInterval(sounding); sounding = null; }
}

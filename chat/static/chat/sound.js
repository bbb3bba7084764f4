// The sound for "answer ready": made here, off unless it is chosen.

import { preferences } from "./preferences.js";

const TONES = [[660, 0], [880, 0.12]]; // Hertz, and seconds from now.
const LENGTH = 0.22;

let audio;

export function playReady() {
  if (!preferences.sound) return;
  try {
    audio ??= new AudioContext();
    audio.resume();
    for (const [pitch, wait] of TONES) play(pitch, audio.currentTime + wait);
  } catch {
    // No sound here: the page says it all the same.
  }
}

function play(pitch, start) {
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  tone.frequency.value = pitch;
  volume.gain.setValueAtTime(0, start);
  volume.gain.linearRampToValueAtTime(0.12, start + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.0001, start + LENGTH);
  tone.connect(volume).connect(audio.destination);
  tone.start(start);
  tone.stop(start + LENGTH);
}

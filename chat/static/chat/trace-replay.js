// The text of an answer once more, at the speed at which it came, with the steps that gave it.

import { announce, calm, config, duration, find, get } from "./page.js";
import { gettext } from "./words.js";

const CALM_MS = 1000; // With reduced motion, the least time between two paints.
const SCALE = 1000; // Of the slider.

export class Replay {
  constructor(steps) {
    this.steps = steps;
    this.at = 0; // Milliseconds of the answer's own time.
    this.button = find("replay-play");
    this.slider = find("replay-seek");
    this.button.addEventListener("click", () => this.#toggle());
    this.slider.addEventListener("input", () => this.#seek());
    find("replay").hidden = false;
    find("replay").addEventListener("focusin", () => this.#load().catch(() => {}), { once: true });
  }

  get speed() {
    return Number(find("replay-speed").value);
  }

  /** Fetch text and times when somebody is about to use them. */
  async #load() {
    if (this.marks) return;
    const { text, marks } = JSON.parse(await get(config.timing));
    // Code points to places in the string, which counts some of them twice.
    const characters = [...text];
    let place = 0;
    let count = 0;
    this.marks = marks.map(([time, characterCount]) => {
      for (const end = count + characterCount; count < end; count += 1) {
        place += characters[count]?.length ?? 0;
      }
      return { time, place };
    });
    this.text = text;
    const ends = this.steps.rows.map((row) => Number(row.dataset.end || 0));
    this.length = Math.max(1, this.marks.at(-1)?.time ?? 0, ...ends);
    this.#tell(this.length);
  }

  async #toggle() {
    if (this.playing) {
      this.#pause();
      return;
    }
    try {
      await this.#load();
    } catch {
      announce(gettext("The replay could not be loaded."));
      return;
    }
    if (!this.marks.length) {
      announce(gettext("The times of this answer are not known."));
      find("replay-time").textContent = "times not known";
      return;
    }
    if (!this.told) announce(gettext("Replaying the answer at its own speed"));
    this.told = true;
    if (this.at >= this.length) this.at = 0;
    this.playing = true;
    this.#showButton();
    this.before = performance.now();
    this.painted = -Infinity;
    this.#frame();
  }

  #pause() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.#showButton();
  }

  #showButton() {
    const label = this.playing ? gettext("Pause") : gettext("Play at its own speed");
    this.button.setAttribute("aria-pressed", String(Boolean(this.playing)));
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }

  #frame() {
    if (!this.playing) return;
    const now = performance.now();
    this.at = Math.min(this.at + (now - this.before) * this.speed, this.length);
    this.before = now;
    const isOver = this.at >= this.length;
    if (isOver || now - this.painted >= (calm.matches ? CALM_MS : 0)) {
      this.painted = now;
      this.#paint();
    }
    if (isOver) this.#end();
    else this.frame = requestAnimationFrame(() => this.#frame());
  }

  async #seek() {
    await this.#load();
    this.at = (Number(this.slider.value) / SCALE) * this.length;
    this.#paint();
    if (this.at >= this.length) this.#end();
  }

  #paint() {
    const box = find("replay-text");
    if (box.hidden) {
      this.node = document.createTextNode("");
      box.replaceChildren(this.node);
      // What stands below stays where it is.
      box.style.minHeight = `${find("answer-text").offsetHeight}px`;
      box.hidden = false;
      find("answer-text").hidden = true;
    }
    const shown = this.node.length;
    const place = this.#placeAt(this.at);
    if (place > shown) this.node.appendData(this.text.slice(shown, place));
    else if (place < shown) this.node.deleteData(place, shown - place);
    if (box.scrollHeight > box.clientHeight) box.scrollTop = box.scrollHeight;
    this.slider.value = String(Math.round((this.at / this.length) * SCALE));
    this.#tell(this.at);
    this.#markSteps();
  }

  #placeAt(time) {
    let [low, high] = [0, this.marks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.marks[middle].time <= time) low = middle + 1;
      else high = middle;
    }
    return low ? this.marks[low - 1].place : 0;
  }

  #tell(time) {
    const text = `${duration(time / 1000)} of ${duration(this.length / 1000)}`;
    find("replay-time").textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
  }

  /** Mark the steps that ran at this moment, in the table and in the graph. */
  #markSteps({ none = false } = {}) {
    const running = new Set();
    for (const row of this.steps.rows) {
      const { begin, end, name } = row.dataset;
      const runs = !none && begin !== undefined && begin <= this.at && this.at < (end || Infinity);
      row.classList.toggle("is-playing", runs);
      if (runs) running.add(name);
    }
    for (const node of find("graph").querySelectorAll(".node")) {
      node.classList.toggle("is-playing", running.has(node.dataset.node));
    }
  }

  /** What was said is shown as it was, formatted, again. */
  #end() {
    this.#pause();
    this.#markSteps({ none: true });
    find("replay-text").hidden = true;
    find("answer-text").hidden = false;
  }
}

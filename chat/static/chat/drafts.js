// What was typed and not sent, kept per conversation and user, on this device.

import { keptAs } from "./page.js";

const PREFIX = "draft:";
const KEPT = 60 * 24 * 3600 * 1000; // Drafts that nobody came back to are forgotten.

/** Keeps the text of a field. Of two tabs, the one that was typed in last is right. */
export class Drafts {
  constructor(area) {
    this.area = area;
    this.key = this.#key;
    this.shown = ""; // What this tab and the store agree on.
    this.#forgetOld();
    if (!area.value) this.#take(this.#read());
    addEventListener("storage", (event) => {
      // Another tab has typed, or sent. What is typed here and not kept there stays.
      if (event.key === this.#key && this.area.value === this.shown && document.hidden) this.#take(this.#read());
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.area.value === this.shown) this.#take(this.#read());
    });
  }

  /** The text has changed here. */
  keep() {
    const text = this.area.value;
    const key = this.#key;
    if (text === this.shown && key === this.key) return;
    try {
      // A new conversation has got its id: what was typed meanwhile belongs to it.
      if (this.key && this.key !== key && this.shown) localStorage.removeItem(this.key);
      this.shown = text;
      this.key = key;
      if (text) localStorage.setItem(key, JSON.stringify({ text, at: Date.now() }));
      else localStorage.removeItem(key);
    } catch {
      // Storage may be forbidden or full; the text is still in the field.
    }
  }

  get #key() {
    return keptAs(PREFIX);
  }

  #read() {
    try {
      return JSON.parse(localStorage.getItem(this.#key))?.text ?? "";
    } catch {
      return this.area.value;
    }
  }

  #take(text) {
    if (text === this.area.value) return;
    this.shown = text;
    this.area.value = text;
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #forgetOld() {
    try {
      for (const key of Object.keys(localStorage).filter((each) => each.startsWith(PREFIX))) {
        const { at } = JSON.parse(localStorage.getItem(key)) ?? {};
        if (!(Date.now() - at < KEPT)) localStorage.removeItem(key);
      }
    } catch {
      // As above.
    }
  }
}

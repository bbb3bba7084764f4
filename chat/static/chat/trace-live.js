// The trace of an answer that is still written: it follows the events, or looks again, until the end.

import { announce, config, find } from "./page.js";
import { gettext, interpolate } from "./words.js";

const TERMINAL = ["done", "stopped", "failed", "interrupted"];
const LEAST_MS = 400; // Between two looks, however fast the steps go.
const POLL_MS = 2000; // For whoever may not read the events.
const CLOCK_MS = 2000; // Durations and bars of what runs go on.

export class Live {
  constructor({ refresh, finish, steps }) {
    Object.assign(this, { refresh, finish, steps });
    this.text = null;
    this.#toggle("live", (on) => this.#setLive(on));
    this.#toggle("follow", (on) => on && this.#look());
    steps.addEventListener("chosen", () => this.#setFollowing(false));
    this.#begin();
  }

  #toggle(id, changed) {
    const button = find(id);
    button.hidden = false;
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      changed(on);
    });
  }

  get live() {
    return find("live")?.getAttribute("aria-pressed") === "true";
  }

  get follows() {
    return find("follow")?.getAttribute("aria-pressed") === "true";
  }

  #setFollowing(on) {
    find("follow")?.setAttribute("aria-pressed", String(on));
  }

  #setLive(on) {
    if (on) this.#look();
    else clearTimeout(this.timer);
  }

  #begin() {
    this.clock = setInterval(() => this.live && this.#look(), config.events ? CLOCK_MS : POLL_MS);
    document.addEventListener("visibilitychange", () => this.#look());
    if (!config.events) return;
    this.source = new EventSource(config.events);
    this.source.addEventListener("step", () => this.#look());
    this.source.addEventListener("started", () => this.#look());
    this.source.addEventListener("delta", ({ data }) => this.#append(JSON.parse(data).text));
    for (const kind of TERMINAL) this.source.addEventListener(kind, () => this.#look());
  }

  #append(text) {
    if (!this.text) {
      this.text = document.createTextNode("");
      const box = find("answer-text");
      box.classList.replace("prose", "plain");
      box.replaceChildren(this.text);
    }
    this.text.appendData(text);
  }

  /** Read the page again soon, once for all that happens until then. */
  #look() {
    if (this.timer || this.over || !this.live || document.hidden) return;
    const wait = Math.max(0, (this.last ?? 0) + LEAST_MS - performance.now());
    this.timer = setTimeout(() => this.#refresh(), wait);
  }

  async #refresh() {
    this.last = performance.now();
    try {
      const fresh = await this.refresh({ follow: this.follows });
      find("connection").textContent = "";
      this.timer = null;
      const status = fresh.getElementById("content").dataset.status;
      if (TERMINAL.includes(status)) this.#end(fresh, status);
    } catch {
      this.timer = null;
      find("connection").textContent = gettext("Reconnecting…");
    }
  }

  #end(fresh, status) {
    this.over = true;
    clearInterval(this.clock);
    this.source?.close();
    this.finish(fresh);
    announce(interpolate(gettext("The answer has ended: %(status)s."), { status }));
  }
}

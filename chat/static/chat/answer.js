// One answer while it is queued, thought about and written.

import { Narrator } from "./narrator.js";
import { calm, config, duration, fromTemplate, get, addressOf, parse } from "./page.js";
import { preferences } from "./preferences.js";
import { takeRest, takeText } from "./takeover.js";
import { toast } from "./toasts.js";
import { gettext, interpolate } from "./words.js";

const TERMINAL = new Set(["done", "stopped", "failed", "interrupted"]);
const CALM_MS = 1000; // With reduced motion, the least time between two paints.
const CLOCK_MS = 200;
const CHARACTERS_PER_TOKEN = 4; // Of English; the exact count comes with the end.

// Without the bundle the text is shown as it is written; the end still brings the server's HTML.
const preview = import(config.live).catch(() => null);

/** Follows one generation. Events: "changed" (phase or size), "ended". */
export class Answer extends EventTarget {
  constructor(article, { generation = null, position = 0, age = 0 } = {}) {
    super();
    this.article = article;
    this.generation = generation;
    this.position = position;
    this.cursor = 0;
    this.length = 0; // In code points, as the terminal event counts.
    this.kept = 0; // So much of it is that of the answer which this one goes on from.
    this.waiting = ""; // Text not yet given to the preview.
    this.narrator = new Narrator();
    this.begun = performance.now() - age;
    this.phase = position ? "queued" : "thinking";
    this.cameLate = Boolean(generation && !position); // For how long it thought is known at the end.
    this.part = (name) => this.article.querySelector(name);
    preview.then((module) => this.#start(module));
    this.clock = setInterval(() => this.#tell(), CLOCK_MS);
    this.#tell();
  }

  get ended() {
    return TERMINAL.has(this.phase);
  }

  /** Take a batch. Return false if something is missing before it. */
  take(events) {
    for (const { cursor, kind, data } of events) {
      if (cursor <= this.cursor) continue;
      if (cursor !== this.cursor + 1) return false;
      this.cursor = cursor;
      this.#take(kind, data);
    }
    this.#sample();
    this.#schedule();
    return true;
  }

  /** Put the server's rendering in place; what is shown stays until it is here. */
  async settle() {
    try {
      const fresh = parse(await get(addressOf.message(this.article.dataset.message)));
      const article = fresh.querySelector("article");
      if (article.dataset.generation && !this.ended) return this.#resume();
      this.settled = true; // Nothing of the preview is drawn from here on.
      await takeText(this.article, article);
      this.#end(article.dataset.status);
      takeRest(this.article, article);
    } catch {
      // Offline, most likely: catching up after the reconnect asks again.
      this.#end(this.phase);
      this.article.dataset.unsettled = "true";
    }
    this.dispatchEvent(new Event("ended"));
    return undefined;
  }

  /** Show that the request failed before it became an answer. */
  fail(message, retry) {
    this.#end("failed");
    const notice = fromTemplate("error-template");
    notice.setAttribute("role", "alert");
    notice.querySelector("span").textContent = message;
    const button = notice.querySelector("button");
    if (retry) button.addEventListener("click", retry);
    else button.remove();
    this.part(".answer").after(notice);
    this.dispatchEvent(new Event("ended"));
  }

  #take(kind, data) {
    if (kind === "started") {
      this.dispatchEvent(new CustomEvent("placed", { detail: data.message }));
      if (this.phase === "queued") this.#leaveQueue();
      this.phase = "thinking";
      this.kept = data.kept ?? 0;
      this.narrator.begin();
    } else if (kind === "step") {
      if (data.name === "retry") this.phase = "retrying";
    } else if (kind === "notice") {
      toast(data.message, { id: `notice-${data.code}` });
    } else if (kind === "reasoning") {
      this.#think(data.text);
    } else if (kind === "delta") {
      this.waiting += data.text;
      if (this.length >= this.kept) this.#write(data.text);
      for (const _ of data.text) this.length += 1;
    } else if (TERMINAL.has(kind)) {
      this.#finish(kind, data);
    }
    this.dispatchEvent(new Event("changed"));
  }

  #leaveQueue() {
    this.begun = performance.now();
    this.position = 0;
    this.dispatchEvent(new Event("begun"));
  }

  #think(text) {
    if (preferences.whole) return;
    const box = this.part(".reasoning");
    if (!this.thinking) {
      this.thinking = performance.now();
      this.part(".reasoning-text").replaceChildren(document.createTextNode(""));
      box.hidden = false;
      box.open = true;
    }
    this.part(".reasoning-text").firstChild.appendData(text);
  }

  #write(text) {
    this.narrator.take(text);
    if (this.phase === "writing") return;
    this.phase = "writing";
    if (!this.thinking) return;
    const time = duration((performance.now() - this.thinking) / 1000);
    const title = this.part(".reasoning-title");
    if (!this.cameLate) title.textContent = interpolate(gettext("Thought for %(time)s"), { time });
    this.part(".reasoning").open = false;
  }

  // Measured from the first batch on: after a reload that one brings all that was written before.
  #sample() {
    if (this.phase !== "writing") return;
    this.first ??= { time: performance.now(), length: this.length };
  }

  get #speed() {
    if (!this.first) return 0;
    const seconds = (performance.now() - this.first.time) / 1000;
    const tokens = (this.length - this.first.length) / CHARACTERS_PER_TOKEN;
    return seconds > 0.6 ? Math.round(tokens / seconds) : 0;
  }

  #tell() {
    const line = this.part(".phase-text");
    if (!line) return;
    const words = {
      sending: gettext("Sending"),
      waiting: gettext("Waiting for the connection"),
      queued: this.position > 1
        ? interpolate(gettext("Queued, number %(place)s"), { place: this.position })
        : gettext("Queued, next"),
      thinking: gettext("Thinking"),
      retrying: gettext("The model did not answer, trying again"),
      writing: gettext("Writing"),
      stopping: gettext("Stopping"),
    };
    const parts = [words[this.phase] ?? ""];
    // Who wants answers when they are complete wants nothing that moves before.
    if (!preferences.whole && ["thinking", "retrying", "writing"].includes(this.phase)) {
      parts.push(duration((performance.now() - this.begun) / 1000));
    }
    if (this.phase === "writing" && this.#speed && !preferences.whole) {
      parts.push(interpolate(gettext("≈ %(speed)s tokens/s"), { speed: this.#speed }));
    }
    const text = parts.join(" · ");
    if (line.textContent !== text) line.textContent = text;
  }

  #start(module) {
    if (this.ended) return;
    this.live = module ? new DeferredPreview(module, this) : new PlainPreview(this);
    this.#schedule();
  }

  #schedule() {
    if (!this.live || !this.waiting || this.frame || preferences.whole) return;
    const wait = Math.max(0, (this.nextPaint ?? 0) - performance.now());
    // A hidden tab gets no animation frames, and so one repaint when it is seen again.
    this.frame = setTimeout(() => requestAnimationFrame(() => this.#paint()), wait);
  }

  #paint() {
    this.frame = null;
    if (this.settled) return;
    const text = this.waiting;
    this.waiting = "";
    const began = performance.now();
    this.live.show(text);
    // Never busy for more than a fifth of the time, however long the answer.
    const cost = performance.now() - began;
    this.nextPaint = performance.now() + Math.max(cost * 4, calm.matches ? CALM_MS : 0);
    this.dispatchEvent(new Event("changed"));
  }

  #finish(kind, data) {
    if (this.waiting && this.live && !preferences.whole) this.#paint();
    if (data.length !== this.length) this.article.dataset.incomplete = "true";
    // A prompt that was taken out of the queue is on no page any more.
    this.neverBegan = kind === "stopped" && this.phase === "queued";
    this.phase = kind;
    if (this.neverBegan) {
      this.#end(kind);
      this.dispatchEvent(new Event("ended"));
      return;
    }
    this.settle().then(() => {
      this.narrator.end(() => {
        const answer = this.part(".answer")?.innerText.trim();
        const error = this.part(".message-error p")?.innerText;
        return [answer, error].filter(Boolean).join("\n");
      });
    });
  }

  #resume() {
    this.cursor = 0;
    this.length = 0;
    this.waiting = "";
    this.live?.restart();
    this.dispatchEvent(new Event("lost"));
  }

  #end(phase) {
    this.phase = TERMINAL.has(phase) ? phase : "failed";
    this.settled = true;
    clearInterval(this.clock);
    this.article.removeAttribute("aria-busy");
    delete this.article.dataset.generation;
    this.part(".phase")?.remove();
  }
}

/** The Markdown preview; it takes the place of what the server rendered when the first text comes. */
class DeferredPreview {
  constructor(module, answer) {
    this.module = module;
    this.answer = answer;
  }

  restart() {
    this.view = null;
  }

  show(text) {
    this.view ??= new this.module.LiveMarkdown(this.answer.part(".answer"));
    this.view.append(text);
    this.view.paint();
  }
}

class PlainPreview {
  constructor(answer) {
    this.answer = answer;
  }

  restart() {
    this.node = null;
  }

  show(text) {
    if (!this.node) {
      this.node = document.createTextNode("");
      const box = this.answer.part(".answer");
      box.classList.add("plain");
      box.replaceChildren(this.node);
    }
    this.node.appendData(text);
  }
}

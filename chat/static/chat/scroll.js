// Keeps the sent prompt near the top and follows the answer, until the reader scrolls away.

import { calm, find } from "./page.js";

const NEAR = 60; // Pixels from the end that count as being there.
const FAR = 200; // From here on the way back is offered.
const ABOVE_PROMPT = 16;

export class Scroll {
  constructor() {
    this.box = find("scroller");
    this.column = this.box.querySelector(".column");
    this.spacer = find("spacer");
    this.button = find("to-bottom");
    this.pinned = true;
    this.anchor = null; // The prompt that stands near the top.
    this.last = 0;
    this.box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Scrolling up by hand unpins at once, even if the answer grows in the same frame.
    this.box.addEventListener("wheel", (event) => event.deltaY < 0 && this.#unpin(), { passive: true });
    this.button.addEventListener("click", () => this.toEnd(true));
    const watch = new ResizeObserver(() => this.grown());
    watch.observe(find("transcript"));
    watch.observe(this.box);
  }

  get #distance() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
  }

  /** Bring a new prompt near the top; its answer will have the room below. */
  showPrompt(article) {
    this.anchor = article;
    this.pinned = true;
    this.#space();
    this.toEnd(true);
  }

  toEnd(glide = false) {
    this.pinned = true;
    const behavior = glide && !calm.matches ? "smooth" : "instant";
    this.gliding = behavior === "smooth" ? performance.now() + 600 : 0;
    this.box.scrollTo({ top: this.box.scrollHeight, behavior });
    this.#offer();
  }

  /** Call when the content may have changed its height. */
  grown() {
    this.#space();
    if (this.pinned && performance.now() > (this.gliding || 0)) {
      this.box.scrollTo({ top: this.box.scrollHeight, behavior: "instant" });
    }
    this.#offer();
  }

  // The room under the last answer shrinks as the answer grows, so nothing moves.
  #space() {
    let room = 0;
    if (this.anchor?.isConnected) {
      const top = this.anchor.getBoundingClientRect().top;
      const used = find("transcript").getBoundingClientRect().bottom - top;
      const below = parseFloat(getComputedStyle(this.column).paddingBottom) || 0;
      room = Math.max(0, this.box.clientHeight - used - ABOVE_PROMPT - below);
    }
    this.spacer.style.height = `${room}px`;
  }

  #unpin() {
    if (this.box.scrollHeight <= this.box.clientHeight) return;
    this.pinned = false;
    this.gliding = 0;
  }

  #scrolled() {
    const top = this.box.scrollTop;
    if (top < this.last - 2 && this.#distance > 2) this.#unpin();
    else if (this.#distance < NEAR) this.pinned = true;
    this.last = top;
    this.#offer();
  }

  #offer() {
    const distance = this.#distance;
    if (distance > FAR) this.button.hidden = false;
    else if (distance < NEAR) this.button.hidden = true;
  }
}

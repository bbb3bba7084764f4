// A menu beside the button that opened it: that of one conversation, unless a subclass fills another.

import { find } from "./page.js";
import { gettext } from "./words.js";

const GAP = 4;

/** Calls `act(what, id)`; with a menu open, its keys stay in it. */
export class Menu {
  constructor(act, describe, { box = "conversation-menu", action = "menu" } = {}) {
    this.act = act;
    this.describe = describe; // Returns {pinned, archived} of a conversation.
    this.action = action; // Of the buttons that open it.
    this.box = find(box);
    document.addEventListener("pointerdown", () => this.#pressed(), { capture: true });
    document.addEventListener("click", (event) => this.#clicked(event));
    this.box.addEventListener("click", (event) => this.#chosen(event));
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("toggle", (event) => {
      if (event.newState === "closed") this.button.setAttribute("aria-expanded", "false");
    });
  }

  #clicked(event) {
    const button = event.target.closest(`[data-action=${this.action}]`);
    if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    // A press beside an open menu has closed it already: the same button does not open it again.
    if (event.detail && this.pressedBeside === button) return;
    this.open(button);
  }

  #pressed() {
    this.pressedBeside = this.box.matches(":popover-open") ? this.button : null;
  }

  open(button) {
    this.button = button;
    this.box.setAttribute("aria-label", this.prepare(button));
    button.setAttribute("aria-haspopup", "menu");
    button.setAttribute("aria-expanded", "true");
    this.box.showPopover();
    this.#stand(button.getBoundingClientRect());
    (this.box.querySelector("[aria-checked=true]") ?? this.#items[0]).focus({ preventScroll: true });
  }

  /** Make it the menu of what the button belongs to, whose `id` is given to `act`. Return its name. */
  prepare(button) {
    const row = button.closest(".conversation");
    this.id = row?.dataset.conversation ?? button.dataset.conversation;
    const { pinned, archived } = this.describe(this.id);
    this.#label("pin", pinned ? gettext("Unpin") : gettext("Pin"));
    this.#label("archive", archived ? gettext("Unarchive") : gettext("Archive"));
    return button.getAttribute("aria-label");
  }

  #label(name, text) {
    this.box.querySelector(`[data-do=${name}] span`).textContent = text;
  }

  #stand(place) {
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const isRightToLeft = getComputedStyle(this.button).direction === "rtl";
    const left = isRightToLeft ? place.right - width : place.left;
    this.box.style.left = `${Math.max(GAP, Math.min(left, innerWidth - width - GAP))}px`;
    const below = place.bottom + GAP;
    const top = below + height > innerHeight ? Math.max(GAP, place.top - height - GAP) : below;
    this.box.style.top = `${top}px`;
  }

  get #items() {
    return [...this.box.querySelectorAll("[role^=menuitem]")];
  }

  #key(event) {
    const items = this.#items;
    const place = items.indexOf(document.activeElement);
    const to = {
      ArrowDown: (place + 1) % items.length,
      ArrowUp: (place - 1 + items.length) % items.length,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      items[to].focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      event.stopPropagation();
      this.box.hidePopover();
      this.button.focus({ preventScroll: true });
    } else {
      this.#find(event, items, place);
    }
  }

  /** A letter goes to the next item that begins with it. */
  #find(event, items, place) {
    if (event.key.length !== 1 || event.ctrlKey || event.metaKey || event.altKey) return;
    const begins = (item) => item.textContent.trim().toLowerCase().startsWith(event.key.toLowerCase());
    [...items.slice(place + 1), ...items].find(begins)?.focus();
  }

  #chosen(event) {
    const item = event.target.closest("[data-do]");
    if (!item) return;
    this.box.hidePopover();
    this.button.focus({ preventScroll: true });
    this.act(item.dataset.do, this.id, this.button);
  }
}

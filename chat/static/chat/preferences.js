// What this person has chosen, and the dialog in which it is chosen: the page of settings, here.

import { announce, config, find, get, parse } from "./page.js";
import { gettext } from "./words.js";

const DEFAULTS = { announce: "end", whole: false, sound: false, keys: true, ctrl_enter: false };

export const preferences = { ...DEFAULTS, ...config.preferences };

/** Events: "shortcuts" (the list of them is wanted). */
export class PreferencesDialog extends EventTarget {
  constructor() {
    super();
    this.dialog = find("preferences-dialog");
    this.part = find("preferences-part");
    this.link = find("open-preferences");
    this.link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.open();
    });
    this.dialog.addEventListener("submit", (event) => this.#sent(event));
    this.dialog.addEventListener("click", (event) => this.#clicked(event));
  }

  async open() {
    try {
      this.#show(parse(await get(this.link.href)));
    } catch {
      location.assign(this.link.href);
      return;
    }
    if (!this.dialog.open) this.dialog.showModal();
    this.part.querySelector("select").focus();
  }

  #show(page) {
    const section = document.adoptNode(page.querySelector("[data-part=preferences]"));
    section.querySelector("[data-do=shortcuts]").hidden = false;
    // The dialog's own head says it.
    section.removeAttribute("aria-labelledby");
    section.querySelector("h2").remove();
    this.part.replaceChildren(section);
    Object.assign(preferences, JSON.parse(section.dataset.values));
    document.dispatchEvent(new Event("preferences"));
  }

  async #sent(event) {
    event.preventDefault();
    const form = event.target;
    const spoken = form.elements.language.defaultValue ?? "";
    const before = [...form.elements.language.options].find((each) => each.defaultSelected)?.value ?? spoken;
    try {
      const response = await fetch(form.action, { method: "POST", body: new FormData(form), credentials: "same-origin" });
      if (!response.ok) throw new Error(`${response.status}`);
      const page = parse(await response.text());
      if (form.elements.language.value !== before) {
        location.reload(); // What is being written goes on, and is all there afterwards.
        return;
      }
      this.#show(page);
      this.dialog.close();
      announce(gettext("Saved."));
    } catch {
      announce(gettext("That did not work. Try again."));
    }
  }

  #clicked(event) {
    const isClose = event.target === this.dialog || event.target.closest("[data-do=close]");
    if (isClose) this.dialog.close();
    if (!event.target.closest("[data-do=shortcuts]")) return;
    this.dialog.close();
    this.dispatchEvent(new Event("shortcuts"));
  }
}

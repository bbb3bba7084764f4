// Keys of the trace page. Letters can be switched off: a screen reader or a voice may type them.

import { find } from "./page.js";

const SETTING = "trace-letter-keys";

export class Keys {
  constructor(steps) {
    this.steps = steps;
    this.dialog = find("keys");
    this.letters = find("letter-keys");
  }

  start() {
    this.letters.checked = stored() !== "off";
    this.letters.addEventListener("change", () => store(this.letters.checked ? "on" : "off"));
    find("show-keys").hidden = false;
    find("show-keys").addEventListener("click", () => this.dialog.showModal());
    document.addEventListener("keydown", (event) => this.#pressed(event));
  }

  #pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.dialog.open || event.target.closest("input, select, textarea, dialog")) return;
    const action = this.#inTable(event) ?? this.#anywhere(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** In the table the arrows move the choice; elsewhere they scroll, as everywhere. */
  #inTable({ key, target }) {
    const { steps } = this;
    if (!target.closest(".step-row")) return undefined;
    return {
      ArrowDown: () => steps.move(1),
      ArrowUp: () => steps.move(-1),
      Home: () => steps.move(-Infinity),
      End: () => steps.move(Infinity),
    }[key];
  }

  #anywhere({ key, target }) {
    const { steps } = this;
    if (key === "Escape" && target.closest("#step")) return () => steps.backToTable();
    if (!this.letters.checked) return undefined;
    return {
      j: () => steps.move(1),
      k: () => steps.move(-1),
      "?": () => this.dialog.showModal(),
    }[key];
  }
}

function stored() {
  try {
    return localStorage.getItem(SETTING);
  } catch {
    return null; // Storage may be forbidden.
  }
}

function store(value) {
  try {
    localStorage.setItem(SETTING, value);
  } catch {
    // It then lasts as long as the page.
  }
}

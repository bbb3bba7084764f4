// All keys of the chat page, in one list that is also shown. A module registers what it can do.

import { find } from "./page.js";
import { preferences } from "./preferences.js";
import { gettext } from "./words.js";

const isMac = /Mac|iP(hone|ad)/.test(navigator.platform);
const NAMES = { Escape: gettext("Esc"), ArrowUp: "↑", ArrowDown: "↓", Enter: "Enter" };

const known = [];

/**
 * Add a shortcut. `keys` is like "Mod+Shift+O", where Mod is Ctrl, or ⌘ on a Mac; `label` says what
 * it does. Without `act` it is only listed: another module hears it. It is listed while `holds`.
 */
export function register(keys, label, act = null, holds = () => true) {
  const parts = keys.split("+");
  const key = parts.pop();
  known.push({ key, parts, label, act, holds });
}

export class Shortcuts {
  constructor() {
    this.dialog = find("shortcuts-dialog");
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog || event.target.closest("[data-do=close]")) this.dialog.close();
    });
    document.addEventListener("keydown", (event) => this.#pressed(event));
    // The only one that is a single character: a voice or a screen reader may type it.
    register("?", gettext("this list"), () => this.open());
  }

  open() {
    const rows = known.filter((each) => each.holds()).flatMap((shortcut) => {
      const keys = document.createElement("dt");
      keys.append(...namesOf(shortcut));
      const label = document.createElement("dd");
      label.textContent = shortcut.label;
      return [keys, label];
    });
    find("shortcuts").replaceChildren(...rows);
    this.dialog.showModal();
  }

  #pressed(event) {
    if (!preferences.keys || event.defaultPrevented || event.isComposing || event.repeat) return;
    if (document.querySelector("dialog[open], :popover-open")) return;
    const shortcut = known.find((each) => each.act && isAsked(each, event));
    if (!shortcut) return;
    event.preventDefault();
    shortcut.act();
  }
}

function isAsked({ key, parts }, event) {
  if (parts.length === 0) {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    return event.key === key && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
  }
  const has = (name) => parts.includes(name);
  return event.key.toLowerCase() === key.toLowerCase()
    && (event.ctrlKey || event.metaKey) === has("Mod")
    && event.shiftKey === has("Shift")
    && event.altKey === has("Alt");
}

function namesOf({ key, parts }) {
  const names = parts.map((part) => ({ Mod: isMac ? "⌘" : gettext("Ctrl"), Shift: gettext("Shift"), Alt: "Alt" })[part]);
  return [...names, NAMES[key] ?? key].map((name) => {
    const shown = document.createElement("kbd");
    shown.textContent = name;
    return shown;
  });
}

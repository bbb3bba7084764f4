// Short notices beside the page: they say what happened, offer one thing to do, and go by themselves.

import { find, fromTemplate } from "./page.js";
import { gettext, interpolate } from "./words.js";

const SHOWN = 10_000;
const KEY = "undo";
const MOST = 4;

/**
 * Show a notice. It stays while it is pointed at or has the focus, which it never takes itself.
 * `act` is called at most once.
 */
export function toast(text, { kind = "plain", action, act, shown = SHOWN, id = null, gone } = {}) {
  const item = fromTemplate("toast-template");
  const button = item.querySelector(".toast-action");
  item.dataset.kind = kind;
  if (id) item.dataset.about = id;
  item.querySelector(".toast-text").textContent = text;
  button.textContent = action ?? "";
  button.hidden = !act;
  let timer;
  const close = () => {
    clearTimeout(timer);
    if (item.contains(document.activeElement)) find("prompt").focus({ preventScroll: true });
    item.remove();
    gone?.();
  };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(close, shown);
  };
  const hold = () => clearTimeout(timer);
  button.addEventListener("click", () => {
    close();
    act();
  });
  item.querySelector(".toast-close").addEventListener("click", close);
  item.addEventListener("pointerenter", hold);
  item.addEventListener("pointerleave", wait);
  item.addEventListener("focusin", hold);
  item.addEventListener("focusout", wait);
  const box = find("toasts");
  for (const old of [...box.children].slice(0, Math.max(0, box.children.length + 1 - MOST))) old.remove();
  box.append(item);
  wait();
  return { close, act: () => button.click(), isOpen: () => item.isConnected };
}

/** Take away what was said about a conversation. */
export function dismiss(id) {
  for (const item of find("toasts").querySelectorAll(`[data-about="${CSS.escape(id)}"]`)) item.remove();
}

/** Offers to take something back for ten seconds, on this page and on the ones after it. */
export class Undo {
  constructor(take) {
    this.take = take; // Called with what is to be taken back: {id, title, change}.
    this.open = new Map();
    for (const entry of this.#kept()) if (entry.until > Date.now()) this.#show(entry);
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  offer(entry) {
    const kept = { ...entry, until: Date.now() + SHOWN };
    this.#keep([...this.#kept().filter(({ id }) => id !== entry.id), kept]);
    this.#show(kept);
  }

  forget(id) {
    this.#keep(this.#kept().filter((entry) => entry.id !== id));
    this.open.get(id)?.close();
    this.open.delete(id);
  }

  #show(entry) {
    this.open.get(entry.id)?.close();
    const shown = toast(interpolate(wordsOf(entry.change), { title: entry.title }), {
      action: gettext("Undo"),
      act: () => this.#takeBack(entry),
      shown: entry.until - Date.now(),
      gone: () => this.#keep(this.#kept().filter(({ id }) => id !== entry.id)),
    });
    this.open.set(entry.id, shown);
  }

  #takeBack(entry) {
    this.open.delete(entry.id);
    this.take(entry);
  }

  /** Ctrl+Z takes back the last one; in a field it belongs to what is typed. */
  #key(event) {
    const isAsked = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
    const isTyping = event.target.matches("input, select") || event.target.value;
    const last = [...this.open.values()].findLast((shown) => shown.isOpen());
    if (!isAsked || isTyping || !last) return;
    event.preventDefault();
    last.act();
  }

  #kept() {
    try {
      return JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    } catch {
      return []; // Storage may be forbidden: the offer then lasts as long as the page.
    }
  }

  #keep(entries) {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(entries));
    } catch {
      // As above.
    }
  }
}

function wordsOf(change) {
  return change === "archived" ? gettext("“%(title)s” was archived.") : gettext("“%(title)s” was deleted.");
}

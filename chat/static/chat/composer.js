// The prompt: grows, sends, stops, and keeps what was typed.

import { Drafts } from "./drafts.js";
import { find } from "./page.js";
import { preferences } from "./preferences.js";
import { gettext } from "./words.js";

const touch = matchMedia("(hover: none) and (pointer: coarse)");

/** Events: "send" (detail: {text, model, attachments}), "stop". */
export class Composer extends EventTarget {
  constructor() {
    super();
    this.form = find("composer");
    this.area = find("prompt");
    this.button = find("send");
    this.queue = find("queue");
    this.error = find("composer-error");
    this.running = false;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.running && event.submitter === this.button) this.#stop();
      else this.submit();
    });
    this.queue.addEventListener("click", () => this.submit());
    this.area.addEventListener("input", () => this.#changed());
    this.area.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("keydown", (event) => this.#escape(event));
    this.hint = find("composer-hint");
    if (touch.matches) this.hint.hidden = true;
    this.#sayKeys();
    document.addEventListener("preferences", () => this.#sayKeys());
    this.drafts = new Drafts(this.area);
    this.#changed();
  }

  submit() {
    const text = this.area.value;
    if (!text.trim() || this.files?.holds()) return;
    this.error.hidden = true;
    const attachments = this.files?.take() ?? [];
    this.dispatchEvent(new CustomEvent("send", { detail: { text, model: this.form.model.value, attachments } }));
    this.area.value = "";
    this.#changed();
  }

  fill(text) {
    this.area.value = text;
    this.#changed();
    this.area.focus();
  }

  /** Put Stop in the place of Send, or Send back. The button, and so the focus, stays. */
  setRunning(running) {
    if (running === this.running) return;
    this.running = running;
    this.form.classList.toggle("running", running);
    this.button.setAttribute("aria-label", running ? gettext("Stop") : gettext("Send"));
    this.button.title = running ? gettext("Stop (Esc)") : gettext("Send");
    this.#sayKeys();
    // The browser must not ask for a text when the button stops.
    this.area.required = !running;
    this.#changed();
  }

  show(error) {
    this.error.textContent = error;
    this.error.hidden = false;
  }

  #stop() {
    this.dispatchEvent(new Event("stop"));
  }

  #key(event) {
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    const asked = event.ctrlKey || event.metaKey;
    if (!asked && (preferences.ctrl_enter || event.shiftKey || event.altKey || touch.matches)) return;
    event.preventDefault();
    this.submit();
  }

  /** Say which key sends: beside the field, and on the keyboard of the screen. */
  #sayKeys() {
    const byCtrl = preferences.ctrl_enter;
    if (this.running) this.hint.textContent = byCtrl ? gettext("Esc to stop, Ctrl+Enter to send next") : gettext("Esc to stop, Enter to send next");
    else this.hint.textContent = byCtrl ? gettext("Ctrl+Enter to send, Enter for a new line") : gettext("Enter to send, Shift+Enter for a new line");
    this.area.setAttribute("enterkeyhint", byCtrl || touch.matches ? "enter" : "send");
  }

  #escape(event) {
    if (event.key !== "Escape" || event.shiftKey || event.defaultPrevented || event.isComposing) return;
    if (this.running && !document.querySelector("dialog[open]")) this.#stop();
  }

  #changed() {
    const filled = Boolean(this.area.value.trim());
    this.button.setAttribute("aria-disabled", String(!filled && !this.running));
    this.queue.hidden = !(this.running && filled);
    this.#grow();
    this.drafts?.keep();
  }

  #grow() {
    if (CSS.supports("field-sizing", "content")) return; // The style sheet does it.
    this.area.style.height = "auto";
    this.area.style.height = `${this.area.scrollHeight}px`;
  }
}

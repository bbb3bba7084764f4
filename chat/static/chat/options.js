// Parts of a conversation's page of options, as a dialog: its forms are sent and read again here.

import { addressOf, announce, copyText, find, get, parse } from "./page.js";
import { gettext } from "./words.js";

export class Options {
  constructor() {
    this.dialog = find("options-dialog");
    this.part = find("options-part");
    find("close-options").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => this.#clicked(event));
    this.dialog.addEventListener("submit", (event) => this.#sent(event));
    this.dialog.addEventListener("close", () => this.opener?.focus({ preventScroll: true }));
  }

  async open(part, id, opener) {
    this.opener = opener;
    this.name = part;
    this.address = addressOf.options(id);
    const page = parse(await get(this.address));
    this.#show(page);
    this.dialog.querySelector(".dialog-name").textContent = page.querySelector("h1").textContent;
    this.dialog.showModal();
    (this.part.querySelector("input:not([type=hidden], [readonly]), select") ?? find("close-options")).focus();
  }

  #show(page) {
    const section = document.adoptNode(page.querySelector(`[data-part=${this.name}]`));
    find("options-dialog-title").textContent = section.querySelector("h2").textContent;
    for (const button of section.querySelectorAll("[data-copy]")) button.hidden = false;
    this.part.replaceChildren(section);
  }

  async #sent(event) {
    event.preventDefault();
    const form = event.target;
    const data = new FormData(form, event.submitter);
    try {
      const response = await fetch(this.address, { method: "POST", body: data, credentials: "same-origin" });
      if (!response.ok) throw new Error(gettext("That did not work. Try again."));
      const page = parse(await response.text());
      this.#show(page);
      this.#say(page.querySelector(".notices")?.textContent.trim() ?? "");
      if (this.name === "tags") this.dialog.close();
    } catch (error) {
      this.#say(error.message);
    }
  }

  #say(text) {
    const line = document.createElement("p");
    line.className = "field-help";
    line.textContent = text;
    this.part.append(line);
    announce(text);
    // What was pressed is gone with its form.
    if (!this.dialog.contains(document.activeElement)) find("close-options").focus();
  }

  async #clicked(event) {
    if (event.target === this.dialog) this.dialog.close(); // On the ground behind it.
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await copyText(button.dataset.copy);
    button.classList.add("did");
    announce(gettext("Copied"));
    setTimeout(() => button.classList.remove("did"), 1500);
  }
}

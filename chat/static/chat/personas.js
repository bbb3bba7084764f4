// Personas: read when the list of who answers is opened first, chosen there, and shown in an empty chat.

import { callApi, config, find } from "./page.js";

const models = () => [...find("model").options].filter((option) => option.dataset.name);

export class Personas {
  constructor(failed) {
    this.select = find("persona");
    this.failed = failed;
    this.select.addEventListener("change", () => this.#changed());
    addEventListener("pageshow", () => this.#show()); // A browser fills forms in again.
  }

  get chosen() {
    const option = this.select.selectedOptions[0];
    return option?.value ? option : null;
  }

  /** What a prompt that begins a conversation says of it. */
  get fields() {
    return this.chosen ? { persona: this.chosen.value } : {};
  }

  /** Read what there is to choose; return whether that is something else than before. */
  async load() {
    const page = await callApi("GET", "personas/").catch(() => null);
    const told = JSON.stringify(page?.items);
    if (!page || told === this.told) return false;
    this.told = told;
    const chosen = this.chosen;
    // What is chosen stays as it is: a conversation goes on with the version that it has.
    const fresh = page.items.map((item) => (item.id === chosen?.value ? chosen : optionOf(item)));
    if (chosen && !fresh.includes(chosen)) fresh.unshift(chosen);
    this.select.replaceChildren(this.select.options[0], ...fresh);
    this.select.value = chosen?.value ?? "";
    return true;
  }

  async #changed() {
    const model = this.chosen?.dataset.model ?? "";
    followModel(model);
    this.#show();
    find("newer-persona")?.remove(); // It spoke of the one before.
    if (!config.conversation) return;
    const change = { persona: this.chosen?.value ?? null, ...(model && { model: "", agent: "" }) };
    await callApi("PATCH", `conversations/${config.conversation}/`, change).catch((error) => this.failed(error.message));
  }

  /** In an empty chat: what it is good for, and what one could ask. */
  #show() {
    const usual = find("empty-template").content;
    const { description = "", starters } = this.chosen?.dataset ?? {};
    find("empty-title").textContent = this.chosen?.textContent ?? usual.querySelector("p").textContent;
    find("empty-description").textContent = description;
    find("empty-description").hidden = !description;
    const items = this.chosen ? JSON.parse(starters).map(exampleOf) : usual.querySelector("ul").cloneNode(true).children;
    find("examples").replaceChildren(...items);
  }
}

/** Have the option without a value stand for another model, and choose it if it names one. */
function followModel(name) {
  const select = find("model");
  const before = models().find((option) => !option.value);
  const wasFollowed = before?.selected;
  for (const option of models()) option.value = option.dataset.name;
  const wanted = models().find((option) => (name ? option.dataset.name === name : "default" in option.dataset));
  const option = wanted ?? select.insertBefore(modelOf(name), select.firstElementChild);
  option.value = "";
  if (name || wasFollowed) option.selected = true;
}

function modelOf(name) {
  const option = new Option(name, "");
  option.dataset.name = name;
  option.dataset.provider = name.split(":")[0];
  return option;
}

function optionOf({ id, name, description, model, starters }) {
  const option = new Option(name, id);
  Object.assign(option.dataset, { description, model, starters: JSON.stringify(starters) });
  return option;
}

function exampleOf(text) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "example";
  button.dir = "auto";
  button.textContent = text;
  item.append(button);
  return item;
}

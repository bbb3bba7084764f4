// The choice of who answers: a button, and a list to search. What is chosen stands in two selects:
// in `#persona` what the model is told and begins with, in `#model` a model or an agent.

import { find } from "./page.js";
import { gettext } from "./words.js";

const GAP = 6;

export class Picker {
  constructor(personas) {
    this.personas = personas;
    this.select = find("model");
    this.selects = [personas.select, this.select];
    this.button = find("picker-button");
    this.box = find("picker-box");
    this.search = find("picker-search");
    this.list = find("picker-list");
    this.none = find("picker-none");
    for (const select of this.selects) select.closest("label").hidden = true;
    find("picker").hidden = false;
    this.button.addEventListener("click", () => (this.isOpen ? this.close() : this.open()));
    this.search.addEventListener("input", () => this.#filter());
    this.search.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("focusout", (event) => this.#left(event));
    // A press must not take the focus from the search, which would close the list before the click.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.#clicked(event));
    for (const select of this.selects) select.addEventListener("change", () => this.#name());
    addEventListener("pageshow", () => this.#name()); // A browser fills forms in again.
    this.#name();
  }

  get isOpen() {
    return this.box.matches(":popover-open");
  }

  open() {
    this.search.value = "";
    this.#build();
    this.box.showPopover();
    this.button.setAttribute("aria-expanded", "true");
    this.#filter();
    this.#activate(this.list.querySelector("[data-select=model][aria-selected=true]") ?? this.#shown[0]);
    this.search.focus();
    this.#loadPersonas();
  }

  /** They come while the list is open already: what is marked in it stays marked. */
  async #loadPersonas() {
    if (!(await this.personas.load()) || !this.isOpen) return;
    const marked = this.active?.dataset.key;
    this.#build();
    this.#filter();
    this.#activate(this.#shown.find((row) => row.dataset.key === marked) ?? this.#shown[0]);
  }

  close() {
    const isInside = this.box.contains(document.activeElement);
    this.box.hidePopover();
    this.button.setAttribute("aria-expanded", "false");
    if (isInside) this.button.focus({ preventScroll: true });
  }

  get #shown() {
    return [...this.list.querySelectorAll("[role=option]:not([hidden])")];
  }

  #name() {
    const chosen = this.select.selectedOptions[0];
    const persona = this.personas.chosen;
    const names = persona
      ? [persona.textContent, chosen?.dataset.name ?? chosen?.textContent]
      : [chosen?.textContent];
    this.button.querySelector(".picker-label").textContent = names.filter(Boolean).join(" · ");
    this.button.title = (persona ?? chosen)?.dataset.description ?? "";
  }

  #build() {
    const groups = new Map();
    const add = (name, row) => {
      if (!groups.has(name)) groups.set(name, groupOf(name));
      groups.get(name).append(row);
    };
    const personas = [...this.personas.select.options];
    // Of both kinds one is chosen at the same time.
    this.list.setAttribute("aria-multiselectable", String(personas.length > 1));
    if (personas.length > 1) {
      personas.forEach((option, index) => add(gettext("Personas"), rowOf(option, index)));
    }
    [...this.select.options].forEach((option, index) => {
      add(option.parentElement.label ?? option.dataset.provider ?? "", rowOf(option, index));
    });
    this.list.replaceChildren(...groups.values());
  }

  #filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.list.querySelectorAll("[role=option]")) {
      row.hidden = !words.every((word) => row.dataset.words.includes(word));
    }
    for (const group of this.list.children) {
      group.hidden = !group.querySelector("[role=option]:not([hidden])");
    }
    const [first] = this.#shown;
    this.none.textContent = first ? "" : gettext("No model or persona has these words.");
    this.#activate(first);
    this.#stand();
  }

  #activate(row) {
    this.active?.classList.remove("active");
    this.active = row;
    if (!row) {
      this.search.removeAttribute("aria-activedescendant");
      return;
    }
    row.classList.add("active");
    this.search.setAttribute("aria-activedescendant", row.id);
    row.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  #key(event) {
    if (event.isComposing) return;
    const rows = this.#shown;
    const place = rows.indexOf(this.active);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && rows.length) this.#activate(rows[(place + step + rows.length) % rows.length]);
    else if (event.key === "Enter" && this.active) this.#choose(this.active);
    else if (event.key === "Escape") this.close();
    else if (!step && event.key !== "Enter") return;
    event.preventDefault(); // Neither the form is sent nor an answer stopped by these keys.
  }

  #clicked(event) {
    const row = event.target.closest("[role=option]");
    if (row) this.#choose(row);
  }

  #choose(row) {
    const select = find(row.dataset.select);
    select.selectedIndex = Number(row.dataset.index);
    this.close();
    select.dispatchEvent(new Event("change", { bubbles: true }));
  }

  #left(event) {
    const isElsewhere = !this.box.contains(event.relatedTarget) && event.relatedTarget !== this.button;
    // Without a target the window itself may have lost the focus: the list stays for then.
    if (this.isOpen && isElsewhere && document.hasFocus()) this.close();
  }

  #stand() {
    const place = this.button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const isRightToLeft = getComputedStyle(this.button).direction === "rtl";
    const left = isRightToLeft ? place.right - width : place.left;
    this.box.style.left = `${Math.max(GAP, Math.min(left, innerWidth - width - GAP))}px`;
    const above = place.top - height - GAP;
    const below = Math.min(place.bottom + GAP, innerHeight - height - GAP);
    this.box.style.top = `${above >= GAP ? above : Math.max(GAP, below)}px`;
  }
}

function groupOf(name) {
  const group = document.createElement("div");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", name);
  const head = document.createElement("p");
  head.className = "picker-group";
  head.setAttribute("aria-hidden", "true");
  head.textContent = name;
  group.append(head);
  return group;
}

function rowOf(option, index) {
  const row = document.createElement("div");
  const select = option.closest("select").id;
  row.id = `picker-${select}-${index}`;
  row.className = "picker-option";
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(option.selected));
  Object.assign(row.dataset, { select, index, key: `${select}:${option.dataset.name ?? option.value}` });
  const { provider = "", description = "", tags = "" } = option.dataset;
  row.dataset.words = [option.textContent, option.value, provider, description, tags].join(" ").toLowerCase();
  row.append(line("picker-name", option.textContent));
  if (description) row.append(line("picker-description", description));
  for (const tag of tags.split(",").filter(Boolean)) row.append(line("picker-tag", tag));
  return row;
}

function line(name, text) {
  const found = document.createElement("span");
  found.className = name;
  found.dir = "auto";
  found.textContent = text;
  return found;
}

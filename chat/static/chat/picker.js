// The choice of who answers: a button, and a list to search. The select `#model` holds what is chosen.

import { find } from "./page.js";
import { gettext } from "./words.js";

const GAP = 6;

export class Picker {
  constructor() {
    this.select = find("model");
    this.button = find("picker-button");
    this.box = find("picker-box");
    this.search = find("picker-search");
    this.list = find("picker-list");
    this.none = find("picker-none");
    this.select.closest("label").hidden = true;
    find("picker").hidden = false;
    this.button.addEventListener("click", () => (this.isOpen ? this.close() : this.open()));
    this.search.addEventListener("input", () => this.#filter());
    this.search.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("focusout", (event) => this.#left(event));
    // A press must not take the focus from the search, which would close the list before the click.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.#clicked(event));
    this.select.addEventListener("change", () => this.#name());
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
    this.#activate(this.list.querySelector("[aria-selected=true]") ?? this.#shown[0]);
    this.search.focus();
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
    this.button.querySelector(".picker-label").textContent = chosen?.textContent ?? "";
    this.button.title = chosen?.dataset.description ?? "";
  }

  #build() {
    const groups = new Map();
    [...this.select.options].forEach((option, index) => {
      const parent = option.parentElement;
      const name = parent.label ?? option.dataset.provider ?? "";
      if (!groups.has(name)) groups.set(name, groupOf(name));
      groups.get(name).append(rowOf(option, index));
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
    this.none.textContent = first ? "" : gettext("No model has these words.");
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
    this.select.selectedIndex = Number(row.dataset.index);
    this.close();
    this.select.dispatchEvent(new Event("change", { bubbles: true }));
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
  row.id = `picker-option-${index}`;
  row.className = "picker-option";
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(option.selected));
  row.dataset.index = index;
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

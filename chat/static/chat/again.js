// Answers given again, by whoever is chosen or by another, and answers gone on from.

import { Menu } from "./menu.js";
import { find } from "./page.js";
import { gettext } from "./words.js";

/** Have the transcript tell of it: "again" (detail: {article, choice?, goesOn?}). */
export function prepareAgain(transcript) {
  const tell = (detail) => transcript.dispatchEvent(new CustomEvent("again", { detail }));
  new ModelMenu((choice, article) => tell({ article, choice }));
  transcript.list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action=regenerate], button[data-action=continue]");
    if (!button) return;
    event.preventDefault(); // Without a script it sends a form.
    const article = button.closest("article");
    if (article.dataset.message) tell({ article, goesOn: button.dataset.action === "continue" });
  });
}

/** Lists who can answer as the picker does, for one answer: the conversation's choice stays. */
class ModelMenu extends Menu {
  constructor(act) {
    super(act, null, { box: "again-menu", action: "again-with" });
    this.select = find("model");
  }

  prepare(button) {
    this.id = button.closest("article");
    const groups = new Map();
    for (const option of this.select.options) {
      const name = option.parentElement.label ?? option.dataset.provider ?? "";
      if (!groups.has(name)) groups.set(name, groupOf(name));
      groups.get(name).append(itemOf(option));
    }
    const name = gettext("Answer again with …");
    this.box.replaceChildren(headOf(name), ...groups.values());
    return name;
  }
}

/** The name is that of the menu already: it is shown, and not read out again. */
function headOf(text) {
  const head = document.createElement("p");
  head.className = "again-head";
  head.setAttribute("aria-hidden", "true");
  head.textContent = text;
  return head;
}

function groupOf(name) {
  const group = document.createElement("div");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", name);
  return group;
}

function itemOf(option) {
  const item = document.createElement("button");
  item.type = "button";
  item.setAttribute("role", "menuitemradio");
  item.setAttribute("aria-checked", String(option.selected));
  // The default has no name in the picker, and would be the conversation's own choice here.
  item.dataset.do = option.value || option.dataset.name;
  item.title = option.dataset.description ?? "";
  const name = document.createElement("span");
  name.dir = "auto";
  name.textContent = option.textContent;
  item.append(name);
  return item;
}

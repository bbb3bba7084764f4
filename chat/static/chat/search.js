// Searching titles and texts, by tags too; reached and used by the keyboard.

import { isDrawerOpen, isNarrow, showDrawer } from "./drawer.js";
import { announce, callApi, config, find, fromTemplate } from "./page.js";
import { gettext, interpolate } from "./words.js";

const PAUSE = 160;

export class Search {
  constructor(sidebar) {
    this.sidebar = sidebar;
    this.field = find("search");
    this.tags = find("tags");
    this.tag = this.tags.querySelector("[aria-current]")?.dataset.tag ?? "";
    this.asked = this.#key; // What the page came with was found by the server.
    this.field.addEventListener("input", () => this.#typed());
    find("search-form").addEventListener("submit", (event) => this.#choose(event));
    this.tags.addEventListener("click", (event) => this.#choseTag(event));
    sidebar.addEventListener("tags", () => this.#tagsChanged());
    document.addEventListener("keydown", (event) => this.#shortcut(event));
    find("sidebar").addEventListener("keydown", (event) => this.#move(event));
    const hint = find("search-shortcut");
    if (/Mac|iP(hone|ad)/.test(navigator.platform)) hint.textContent = "⌘K";
    hint.hidden = false;
  }

  /** Bring the focus to the search, wherever it is. */
  open() {
    if (isNarrow() && !isDrawerOpen()) showDrawer(true, this.field);
    this.field.focus();
    this.field.select();
  }

  get #key() {
    return JSON.stringify([this.field.value.trim(), this.tag]);
  }

  #shortcut(event) {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
    if (event.altKey || event.shiftKey || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    this.open();
  }

  #typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.#search(), PAUSE);
  }

  async #search() {
    clearTimeout(this.typing);
    const key = this.#key;
    if (key === this.asked) return;
    this.asked = key;
    const query = this.field.value.trim();
    if (!query && !this.tag) {
      await this.#showAll();
      return;
    }
    const parameters = new URLSearchParams();
    if (query) parameters.set("q", query);
    if (this.tag) parameters.set("tag", this.tag);
    const page = await callApi("GET", `conversations/?${parameters}`).catch(() => null);
    if (key === this.asked) this.#show(page, Boolean(query));
  }

  async #showAll() {
    if (this.sidebar.filter.length) await this.sidebar.reload().catch(() => null);
    find("found").hidden = true;
    find("found").replaceChildren();
    find("listed").hidden = false;
    this.#showEnd("");
  }

  #show(page, isSearch) {
    const list = document.createElement("ul");
    list.className = "conversations";
    list.append(...(page?.items ?? []).map((item) => this.sidebar.make(item)));
    const empty = document.createElement("p");
    empty.className = "sidebar-empty";
    empty.textContent = page ? gettext("Nothing found.") : gettext("The search did not work. Try again.");
    empty.hidden = list.children.length > 0;
    find("found").replaceChildren(list, empty);
    find("found").hidden = false;
    find("listed").hidden = true;
    const count = `${list.children.length}${page?.next ? "+" : ""}`;
    if (isSearch) this.#showEnd(empty.hidden ? interpolate(gettext("%(count)s found"), { count }) : empty.textContent);
  }

  #showEnd(text) {
    if (text) announce(text);
    find("conversations").scrollTop = 0;
  }

  /** Enter opens the first of what was found. */
  async #choose(event) {
    event.preventDefault();
    await this.#search();
    this.#links[0]?.click();
  }

  get #links() {
    const links = [...find("conversations").querySelectorAll(".conversation-link")];
    return links.filter((link) => link.checkVisibility());
  }

  /** Arrow keys go through the list, and from the search into it and back. */
  #move(event) {
    if (event.key === "Escape" && event.target === this.field) {
      this.#leave(event);
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const place = this.#links.indexOf(event.target.closest(".conversation")?.querySelector("a"));
    const isHere = event.target === this.field || event.target.matches(".conversation-link, .conversation-more");
    if (!step || !isHere || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const target = this.#links[place + step];
    if (place + step < 0) this.field.focus();
    else target?.focus();
  }

  #leave(event) {
    event.preventDefault();
    event.stopPropagation();
    if (this.field.value) {
      this.field.value = "";
      this.#search();
    } else if (isDrawerOpen()) {
      showDrawer(false);
    } else {
      find("prompt").focus();
    }
  }

  #choseTag(event) {
    const link = event.target.closest("a[data-tag]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.tag = link.dataset.tag === this.tag ? "" : link.dataset.tag;
    this.#markTag();
    this.#search();
  }

  #markTag() {
    for (const link of this.tags.querySelectorAll("a")) {
      if (link.dataset.tag === this.tag) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  /** Read the tags again, once for all that changed. */
  #tagsChanged() {
    clearTimeout(this.reading);
    this.reading = setTimeout(async () => {
      const page = await callApi("GET", "tags/").catch(() => null);
      if (!page) return;
      const held = this.tags.contains(document.activeElement) ? document.activeElement.dataset.tag : null;
      this.tags.replaceChildren(...page.items.map(tagItem));
      this.tags.hidden = page.items.length === 0;
      if (!page.items.includes(this.tag) && this.tag) {
        this.tag = "";
        this.#search();
      }
      this.#markTag();
      if (held !== null) [...this.tags.querySelectorAll("a")].find((a) => a.dataset.tag === held)?.focus();
    }, PAUSE);
  }
}

function tagItem(name) {
  const item = fromTemplate("tag-template");
  const link = item.querySelector("a");
  link.textContent = name;
  link.dataset.tag = name;
  link.href = `${config.home}?tag=${encodeURIComponent(name)}#sidebar`;
  return item;
}

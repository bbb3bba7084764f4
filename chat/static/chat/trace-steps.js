// The table of steps, the one that is looked at, and its parts as tabs. Where both stand is in the address.

import { config, find, get, parse } from "./page.js";

const SOON = 90; // A key held down passes many steps; only the one it stops at is fetched.

/** Events: "chosen" (detail: by whom, "person" or "page"). */
export class Steps extends EventTarget {
  constructor() {
    super();
    this.part = location.hash.slice(1);
    find("steps").addEventListener("click", (event) => this.#clicked(event));
    find("graph").addEventListener("click", (event) => this.#clickedNode(event));
    find("step").addEventListener("click", (event) => this.#clickedTab(event));
    find("step").addEventListener("keydown", (event) => this.#keyInTabs(event));
    addEventListener("hashchange", () => this.showPart(location.hash.slice(1)));
    this.#equip();
    this.#showNode();
    // Where the step stands beside the table, an address with its part need not scroll to it.
    const stands = getComputedStyle(find("step")).position === "sticky";
    if (this.part && stands) addEventListener("load", () => scrollTo(0, 0), { once: true });
  }

  get rows() {
    return [...find("steps").querySelectorAll(".step-row")];
  }

  get selected() {
    return find("steps").querySelector(".step-row.is-selected");
  }

  /** Where the values of the step that is shown are. */
  get address() {
    const { step } = find("step").querySelector(".panel-head")?.dataset ?? {};
    return config.step.replace(/\/0\/$/, `/${step}/`);
  }

  /** Show a step. Focus its row if asked to; a row of another answer leads to that one's trace. */
  choose(row, { focus = false, by = "person" } = {}) {
    if (!row) return;
    const link = row.querySelector("a");
    if (row.classList.contains("is-other")) {
      location.assign(link.href);
      return;
    }
    this.#mark(row);
    if (focus) link.focus();
    const address = new URL(link.href);
    address.hash = this.part || "step";
    history.replaceState(null, "", address);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#fetch(row.dataset.step), SOON);
    this.dispatchEvent(new CustomEvent("chosen", { detail: by }));
  }

  /** Move the choice by some rows, or to an end, from where the focus is. */
  move(by) {
    const { rows } = this;
    const now = rows.indexOf(document.activeElement.closest(".step-row") ?? this.selected);
    const row = rows[Math.min(Math.max(now + by, 0), rows.length - 1)];
    if (row === this.selected) row.querySelector("a").focus();
    else this.choose(row, { focus: true });
  }

  open() {
    find("step-heading")?.focus();
    find("step").scrollIntoView({ block: "nearest" });
  }

  backToTable() {
    this.selected?.querySelector("a").focus();
  }

  /** The server has rendered the page anew: show its step, unless it is the one that is there. */
  renewed(panel, { focused }) {
    const fresh = panel.querySelector(".panel-head")?.dataset ?? {};
    const ours = find("step").querySelector(".panel-head")?.dataset ?? {};
    if (fresh.step !== ours.step || fresh.version !== ours.version) this.#put(panel);
    const row = this.rows.find((each) => each.dataset.step === focused);
    row?.querySelector("a").focus({ preventScroll: true });
  }

  showPart(name) {
    const tabs = [...find("step").querySelectorAll(".tabs a")];
    if (!tabs.length) return;
    const chosen = tabs.find((tab) => tab.hash === `#${name}`) ?? tabs[0];
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      find(tab.hash.slice(1)).hidden = !isChosen;
    }
  }

  #equip() {
    const list = find("step").querySelector(".tabs");
    if (list) {
      list.setAttribute("role", "tablist");
      for (const tab of list.children) {
        const panel = find(tab.hash.slice(1));
        tab.setAttribute("role", "tab");
        tab.id = `tab-${panel.id}`;
        tab.setAttribute("aria-controls", panel.id);
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tab.id);
      }
      // What failed is what one wants to know first.
      const failed = list.querySelector("a[href='#error']");
      this.showPart(this.part && this.part !== "step" ? this.part : failed ? "error" : "state");
    }
    for (const button of find("step").querySelectorAll(".json-tools [hidden]")) {
      button.hidden = false;
    }
  }

  #clicked(event) {
    const row = event.target.closest(".step-row");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const viaKey = event.detail === 0; // Enter on the link.
    this.choose(row, { focus: true });
    if (viaKey) this.opening = true;
  }

  #clickedNode(event) {
    const node = event.target.closest("[data-step]");
    if (node) this.choose(this.rows.find((row) => row.dataset.step === node.dataset.step));
  }

  #clickedTab(event) {
    const tab = event.target.closest("[role=tab]");
    if (!tab) return;
    event.preventDefault();
    this.#choosePart(tab);
  }

  #choosePart(tab) {
    this.part = tab.hash.slice(1);
    const address = new URL(location.href);
    address.hash = tab.hash;
    const { step } = find("step").querySelector(".panel-head").dataset;
    address.searchParams.set("step", step);
    history.replaceState(null, "", address);
    this.showPart(this.part);
    this.dispatchEvent(new CustomEvent("chosen", { detail: "person" }));
  }

  #keyInTabs(event) {
    const tab = event.target.closest("[role=tab]");
    if (!tab) return;
    const tabs = [...tab.parentElement.children];
    const moves = { ArrowRight: 1, ArrowLeft: -1, Home: -tabs.length, End: tabs.length };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const at = tabs.indexOf(tab) + move;
    const isEnd = Math.abs(move) > 1;
    const place = isEnd ? Math.min(Math.max(at, 0), tabs.length - 1) : (at + tabs.length) % tabs.length;
    this.#choosePart(tabs[place]);
    tabs[place].focus();
  }

  #mark(row) {
    for (const each of this.rows) {
      const isChosen = each === row;
      each.classList.toggle("is-selected", isChosen);
      const link = each.querySelector("a");
      if (isChosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    for (const node of find("graph").querySelectorAll(".node")) {
      const isCurrent = node.dataset.node === row.dataset.name;
      node.classList.toggle("is-current", isCurrent);
    }
    this.#showNode();
  }

  /** On a narrow screen the graph is wider than its box. */
  #showNode() {
    const node = find("graph").querySelector(".node.is-current");
    const box = find("graph").querySelector(".graph-scroll");
    if (!node || box.scrollWidth <= box.clientWidth) return;
    const { left, width } = node.getBoundingClientRect();
    const middle = left + width / 2 - box.getBoundingClientRect().left;
    box.scrollLeft += middle - box.clientWidth / 2;
  }

  async #fetch(step) {
    try {
      const address = config.step.replace(/\/0\/$/, `/${step}/`);
      const fresh = parse(await get(address));
      if (this.selected?.dataset.step === step) this.#put(fresh.body);
    } catch {
      location.reload(); // The address names the step by now.
    }
  }

  #put(source) {
    const hadFocus = find("step").contains(document.activeElement);
    find("step").replaceChildren(...document.adoptNode(source).childNodes);
    this.#equip();
    if (hadFocus || this.opening) this.open();
    this.opening = false;
  }
}

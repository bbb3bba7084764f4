// The list of conversations: kept in step by frames, searched and changed through the API.

import { addressOf, announce, callApi, config, find, fromTemplate } from "./page.js";

const DAY = 86_400_000;

export class Sidebar {
  constructor() {
    this.box = find("conversations");
    this.box.addEventListener("click", (event) => this.#clicked(event));
    this.box.addEventListener("dblclick", (event) => {
      const item = event.target.closest(".conversation");
      if (item) this.#rename(item);
    });
    find("search").addEventListener("input", () => this.#typed());
    find("search-form").addEventListener("submit", (event) => event.preventDefault());
    this.#drawer();
    this.#watchEnd();
    this.#keepPlace();
  }

  /** Follow a `conversation` frame. */
  apply({ id, change, title, running }) {
    const item = this.#item(id);
    if (change === "deleted") return this.#remove(item);
    if (!item) return this.searching ? undefined : this.#insert({ id, title, running });
    if (title !== undefined) this.#name(item, title);
    if (running !== undefined) item.classList.toggle("running", Boolean(running));
    if (running) this.#toTop(item);
    return undefined;
  }

  /** Take the list of a page read again. */
  replaceBy(fresh) {
    // Not under the hands of somebody who is using it: the focus would be lost.
    if (this.searching || this.box.contains(document.activeElement)) return;
    this.box.replaceChildren(...document.adoptNode(fresh).childNodes);
    this.mark(config.conversation);
    this.#watchEnd();
  }

  mark(id) {
    for (const link of this.box.querySelectorAll("a[aria-current]")) link.removeAttribute("aria-current");
    this.#item(id)?.querySelector("a").setAttribute("aria-current", "page");
  }

  setRunning(ids) {
    for (const item of this.box.querySelectorAll(".conversation")) {
      item.classList.toggle("running", ids.has(item.dataset.conversation));
    }
  }

  #item(id) {
    return this.box.querySelector(`[data-conversation="${CSS.escape(id ?? "")}"]`);
  }

  #make({ id, title, running }) {
    const item = fromTemplate("conversation-template");
    item.dataset.conversation = id;
    item.querySelector("a").href = addressOf.conversation(id);
    item.classList.toggle("running", Boolean(running));
    this.#name(item, title);
    if (id === config.conversation) item.querySelector("a").setAttribute("aria-current", "page");
    return item;
  }

  #name(item, title) {
    const name = title || "New conversation";
    item.querySelector(".conversation-title").textContent = name;
    item.querySelector("[data-action=rename]").setAttribute("aria-label", `Rename ${name}`);
    item.querySelector("[data-action=delete]").setAttribute("aria-label", `Delete ${name}`);
  }

  #insert(conversation) {
    this.#toTop(this.#make(conversation));
  }

  #toTop(item) {
    const list = this.#group(config.groups[0], true);
    if (list.firstElementChild === item) return;
    const old = item.parentElement;
    list.prepend(item);
    tidy(old);
    this.box.querySelector(".sidebar-empty").hidden = true;
  }

  #group(label, first = false) {
    const headings = [...this.box.querySelectorAll(".group")];
    const found = headings.find((heading) => heading.textContent === label);
    if (found) return found.nextElementSibling;
    const heading = document.createElement("h2");
    heading.className = "group";
    heading.textContent = label;
    const list = document.createElement("ul");
    list.className = "conversations";
    if (first) this.box.prepend(heading, list);
    else this.box.querySelector(".sidebar-empty").before(heading, list);
    return list;
  }

  #remove(item) {
    const list = item?.parentElement;
    item?.remove();
    tidy(list);
    return undefined;
  }

  #clicked(event) {
    const button = event.target.closest("button[data-action]");
    const item = button?.closest(".conversation");
    if (!item) return;
    if (button.dataset.action === "rename") this.#rename(item);
    else this.#delete(item);
  }

  #rename(item) {
    if (item.querySelector("input")) return;
    const link = item.querySelector("a");
    const title = item.querySelector(".conversation-title").textContent;
    const input = document.createElement("input");
    input.value = title;
    input.maxLength = 200;
    input.className = "rename";
    input.setAttribute("aria-label", "New title");
    link.hidden = true;
    link.after(input);
    input.select();
    const close = (refocus) => {
      input.removeEventListener("blur", save);
      input.remove();
      link.hidden = false;
      if (refocus) link.focus();
    };
    const save = (event) => {
      const wanted = input.value.trim();
      close(event.type !== "blur");
      if (wanted && wanted !== title) this.#saveTitle(item, wanted, title);
    };
    input.addEventListener("blur", save);
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") save(event);
      if (event.key === "Escape") {
        event.preventDefault();
        close(true);
      }
    });
  }

  async #saveTitle(item, title, before) {
    this.#name(item, title);
    try {
      await callApi("PATCH", `conversations/${item.dataset.conversation}/`, { title });
    } catch (error) {
      this.#name(item, before);
      this.#say(error.message);
    }
  }

  #delete(item) {
    const dialog = find("confirm-delete");
    dialog.querySelector(".dialog-name").textContent = item.querySelector(".conversation-title").textContent;
    dialog.returnValue = "";
    dialog.onclose = () => dialog.returnValue === "delete" && this.#deleted(item);
    dialog.showModal();
  }

  async #deleted(item) {
    const id = item.dataset.conversation;
    try {
      await callApi("DELETE", `conversations/${id}/`);
    } catch (error) {
      this.#say(error.message);
      return;
    }
    this.#remove(item);
    announce("Deleted");
    if (id === config.conversation) location.assign(config.home);
  }

  #say(message) {
    const line = this.box.querySelector(".sidebar-empty");
    line.textContent = message;
    line.hidden = false;
    announce(message);
  }

  #typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.#search(find("search").value.trim()), 180);
  }

  async #search(query) {
    this.before ??= [...this.box.childNodes];
    this.searching = Boolean(query);
    if (!query) {
      this.box.replaceChildren(...this.before);
      this.before = null;
      return;
    }
    const found = await callApi("GET", `conversations/?q=${encodeURIComponent(query)}`).catch(() => null);
    if (!this.searching || query !== find("search").value.trim()) return;
    const list = document.createElement("ul");
    list.className = "conversations";
    list.append(...(found?.items ?? []).map((item) => this.#make(item)));
    const empty = document.createElement("p");
    empty.className = "sidebar-empty";
    empty.textContent = found ? "Nothing found." : "The search did not work. Try again.";
    empty.hidden = list.children.length > 0;
    this.box.replaceChildren(list, empty);
  }

  // The next page is fetched when the end of the list comes into sight.
  #watchEnd() {
    const end = find("more-conversations");
    if (!end) return;
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      this.#more(end);
    }, { root: this.box }).observe(end);
  }

  async #more(end) {
    let fresh = [];
    do {
      const cursor = this.next ? `?cursor=${encodeURIComponent(this.next)}` : "";
      const page = await callApi("GET", `conversations/${cursor}`).catch(() => null);
      if (!page) return;
      this.next = page.next;
      fresh = page.items.filter((item) => !this.#item(item.id));
    } while (!fresh.length && this.next);
    for (const item of fresh) this.#group(groupOf(item.updated_at)).append(this.#make(item));
    end.remove();
    if (!this.next) return;
    this.box.append(end);
    this.#watchEnd();
  }

  #keepPlace() {
    this.box.scrollTop = Number(sessionStorage.getItem("sidebar") ?? 0);
    addEventListener("pagehide", () => sessionStorage.setItem("sidebar", this.box.scrollTop));
  }

  #drawer() {
    const open = find("open-sidebar");
    const show = (shown) => {
      document.body.classList.toggle("sidebar-open", shown);
      find("content").inert = shown;
      (shown ? find("close-sidebar") : open).focus({ preventScroll: true });
    };
    const on = (element, shown) => element.addEventListener("click", (event) => {
      event.preventDefault();
      show(shown);
    });
    on(open, true);
    on(find("close-sidebar"), false);
    on(find("scrim"), false);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !document.body.classList.contains("sidebar-open")) return;
      event.preventDefault();
      show(false);
    }, { capture: true });
  }
}

function tidy(list) {
  if (!list || list.children.length || !list.previousElementSibling) return;
  list.previousElementSibling.remove();
  list.remove();
}

function groupOf(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const then = new Date(time);
  const [today, yesterday, week, month] = config.groups;
  if (then >= midnight) return today;
  if (then >= midnight - DAY) return yesterday;
  if (then > midnight - 6 * DAY) return week;
  if (then > midnight - 29 * DAY) return month;
  const language = document.documentElement.lang;
  return then.toLocaleDateString(language, { month: "long", year: "numeric" });
}

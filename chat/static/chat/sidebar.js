// The list of conversations: kept in step by frames, read on when its end comes into sight.

import { addressOf, callApi, config, find, fromTemplate, get, parse } from "./page.js";
import { gettext, interpolate } from "./words.js";

const DAY = 86_400_000;

/** Events: "tags" (the tags of a conversation have changed). */
export class Sidebar extends EventTarget {
  constructor() {
    super();
    this.box = find("conversations");
    this.listed = find("listed");
    // What the server has listed for a search or a tag is not the list that frames are about.
    const asked = new URLSearchParams(location.search);
    this.filter = ["q", "tag"].filter((name) => asked.get(name)).map((name) => [name, asked.get(name)]);
    this.#watchEnd();
    this.#keepPlace();
  }

  /** Follow a `conversation` frame. */
  async apply(frame) {
    const { id, change } = frame;
    if (change === "deleted") return this.remove(id);
    if (frame.temporary) return undefined;
    const items = this.items(id);
    if (!items.length && frame.title === undefined) {
      // Of one that is not listed it is told that something runs: perhaps further down the list.
      if (!frame.running) return undefined;
      const known = await callApi("GET", `conversations/${id}/`).catch(() => null);
      if (!known || known.temporary) return undefined;
      frame = { ...known, ...frame };
    }
    // One that was begun elsewhere, and of which no more is told.
    if (!items.length) frame = { updated_at: new Date().toISOString(), ...frame };
    for (const item of items) this.#update(item, frame);
    if (frame.archived) this.#leave(this.#listedItem(id));
    else if (frame.updated_at !== undefined || frame.running) this.#place(id, frame);
    return undefined;
  }

  /** Take the list of a page read again. */
  replaceBy(fresh) {
    // Not under the hands of somebody who is using it: the focus would be lost.
    if (this.listed.contains(document.activeElement) || this.listed.querySelector("input")) return;
    this.listed.replaceChildren(...document.adoptNode(fresh).childNodes);
    this.mark(config.conversation);
    this.#watchEnd();
  }

  /** Read the whole list again, as after a search that the server did. */
  async reload() {
    const fresh = parse(await get(config.home));
    this.filter = [];
    this.replaceBy(fresh.getElementById("listed"));
  }

  mark(id) {
    for (const link of this.box.querySelectorAll("a[aria-current]")) link.removeAttribute("aria-current");
    for (const item of this.items(id)) item.querySelector("a").setAttribute("aria-current", "page");
  }

  setRunning(ids) {
    for (const item of this.box.querySelectorAll(".conversation")) {
      item.classList.toggle("running", ids.has(item.dataset.conversation));
    }
  }

  setUnread(id, unread) {
    for (const item of this.items(id)) item.classList.toggle("unread", unread);
  }

  isUnread(id) {
    return this.items(id).some((item) => item.classList.contains("unread"));
  }

  /** The rows of a conversation: one in the list, perhaps one among what was found. */
  items(id) {
    return [...this.box.querySelectorAll(`[data-conversation="${CSS.escape(id ?? "")}"]`)];
  }

  titleOf(id) {
    return this.items(id)[0]?.querySelector(".conversation-title").textContent;
  }

  remove(id) {
    for (const item of this.items(id)) this.#leave(item);
  }

  make(conversation) {
    const item = fromTemplate("conversation-template");
    const { id } = conversation;
    item.dataset.conversation = id;
    item.querySelector("a").href = addressOf.conversation(id);
    item.querySelector(".conversation-more").href = addressOf.options(id);
    this.#update(item, { title: "", unread: false, running: null, ...conversation });
    if (conversation.snippet) item.querySelector(".conversation-text").append(snippetOf(conversation));
    if (id === config.conversation) item.querySelector("a").setAttribute("aria-current", "page");
    return item;
  }

  rename(id, title) {
    for (const item of this.items(id)) this.#update(item, { title });
  }

  #update(item, { title, running, unread, pinned, archived, tags, updated_at: updated }) {
    const { dataset, classList } = item;
    if (title !== undefined) {
      const name = title || gettext("New conversation");
      item.querySelector(".conversation-title").textContent = name;
      item.querySelector(".conversation-more").setAttribute("aria-label", interpolate(gettext("Options for %(title)s"), { title: name }));
    }
    if (running !== undefined) classList.toggle("running", Boolean(running));
    if (running) dataset.updated = new Date().toISOString();
    if (unread !== undefined) classList.toggle("unread", unread);
    if (archived !== undefined) classList.toggle("archived", archived);
    if (pinned !== undefined) item.toggleAttribute("data-pinned", pinned);
    if (updated !== undefined) dataset.updated = updated;
    if (tags !== undefined && tags.join(", ") !== (dataset.tags ?? "")) {
      dataset.tags = tags.join(", ");
      this.dispatchEvent(new Event("tags"));
    }
  }

  #listedItem(id) {
    return this.listed.querySelector(`[data-conversation="${CSS.escape(id)}"]`);
  }

  /** Put a row where it belongs by its time, or among those on top. */
  #place(id, frame) {
    if (this.filter.length) return;
    const item = this.#listedItem(id) ?? this.make(frame);
    const old = item.parentElement;
    const list = this.#listFor(item);
    const isBefore = (other) => other !== item && !this.#comesBefore(other, item);
    const next = [...list.children].find(isBefore) ?? null;
    if (item.parentElement !== list || item.nextElementSibling !== next) {
      const focused = item.contains(document.activeElement) ? document.activeElement : null;
      list.insertBefore(item, next);
      focused?.focus({ preventScroll: true });
    }
    tidy(old);
    this.listed.querySelector(".sidebar-empty").hidden = true;
  }

  #comesBefore(one, other) {
    // Of those on top the place is known to the server alone; what was pinned just now comes first.
    if ("pinned" in other.dataset) return false;
    return new Date(one.dataset.updated) > new Date(other.dataset.updated);
  }

  #listFor(item) {
    const isPinned = "pinned" in item.dataset;
    const label = isPinned ? gettext("Pinned") : groupOf(item.dataset.updated);
    const headings = [...this.listed.querySelectorAll(".group")];
    const known = headings.find((heading) => heading.textContent === label);
    if (known) return known.nextElementSibling;
    const heading = document.createElement("h2");
    heading.className = "group";
    heading.textContent = label;
    const list = document.createElement("ul");
    list.className = "conversations";
    const isLater = (other) => isPinned
      || (other.textContent !== gettext("Pinned")
        && !this.#comesBefore(other.nextElementSibling.firstElementChild ?? item, item));
    const next = headings.find(isLater) ?? this.listed.querySelector(".sidebar-empty");
    next.before(heading, list);
    return list;
  }

  #leave(item) {
    const list = item?.parentElement;
    item?.remove();
    tidy(list);
    const isEmpty = !this.listed.querySelector(".conversation");
    if (isEmpty) this.listed.querySelector(".sidebar-empty").hidden = false;
  }

  // The next page is fetched when the end of the list comes into sight.
  #watchEnd() {
    const end = find("more-conversations");
    if (!end) return;
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      this.#more(end);
    }, { root: this.box, rootMargin: "200px" }).observe(end);
  }

  async #more(end) {
    const query = new URLSearchParams([["cursor", end.dataset.next], ...this.filter]);
    const page = await callApi("GET", `conversations/?${query}`).catch(() => null);
    if (!page || !end.isConnected) return;
    for (const item of page.items.filter(({ id }) => !this.#listedItem(id))) this.#append(item, query.has("q"));
    if (!page.next) {
      end.remove();
      return;
    }
    end.dataset.next = page.next;
    this.listed.append(end);
    this.#watchEnd();
  }

  #append(conversation, isFlat) {
    const item = this.make(conversation);
    const lists = [...this.listed.querySelectorAll(".conversations")];
    (isFlat ? lists.at(-1) : this.#listFor(item)).append(item);
  }

  #keepPlace() {
    try {
      this.box.scrollTop = Number(sessionStorage.getItem("sidebar") ?? 0);
      addEventListener("pagehide", () => sessionStorage.setItem("sidebar", this.box.scrollTop));
    } catch {
      // Storage may be forbidden: the list then begins at its top.
    }
  }
}

function snippetOf({ snippet }) {
  const line = document.createElement("span");
  line.className = "conversation-snippet";
  line.dir = "auto";
  for (const { text, found } of snippet) {
    const part = found ? document.createElement("mark") : document.createTextNode("");
    part.textContent = text;
    line.append(part);
  }
  return line;
}

function tidy(list) {
  if (!list || list.children.length) return;
  if (list.previousElementSibling?.matches(".group")) list.previousElementSibling.remove();
  list.remove();
}

function groupOf(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const then = new Date(time);
  const [today, yesterday, week, month] = config.groups;
  if (then >= midnight) return today;
  if (then >= midnight - DAY) return yesterday;
  if (then >= midnight - 6 * DAY) return week;
  if (then >= midnight - 29 * DAY) return month;
  const language = document.documentElement.lang;
  return then.toLocaleDateString(language, { month: "long", year: "numeric" });
}

// What one does with conversations in the list: rename, pin, archive, delete, and take it back.

import { Menu } from "./menu.js";
import { Options } from "./options.js";
import { announce, callApi, config, find } from "./page.js";
import { toast, Undo } from "./toasts.js";
import { gettext, interpolate } from "./words.js";

export class Keeping {
  constructor(sidebar) {
    this.sidebar = sidebar;
    this.box = find("conversations");
    this.options = new Options();
    this.undo = new Undo((entry) => this.#takeBack(entry));
    this.menu = new Menu((...asked) => this.#act(...asked), (id) => this.#describe(id));
    this.box.addEventListener("dblclick", (event) => {
      const row = event.target.closest(".conversation");
      if (!row || event.target.closest(".conversation-more")) return;
      event.preventDefault();
      this.#rename(row);
    });
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.#adoptBanner();
  }

  #act(what, id, button) {
    const row = button.closest(".conversation") ?? this.sidebar.items(id)[0];
    if (what === "rename") this.#rename(row, button);
    else if (what === "delete") this.#delete(id, row);
    else if (what === "pin") this.#set(id, { pinned: !this.#describe(id).pinned });
    else if (what === "archive") this.#archive(id, !this.#describe(id).archived, row);
    else this.options.open(what, id, button).catch(() => this.#say(gettext("That did not work. Try again.")));
  }

  #describe(id) {
    const row = this.sidebar.items(id)[0];
    // What is open and not in the list has been put away.
    return { pinned: "pinned" in (row?.dataset ?? {}), archived: row?.classList.contains("archived") ?? true };
  }

  #key(event) {
    const row = event.target.closest(".conversation");
    if (!row || event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "F2") this.#rename(row);
    else if (event.key === "Delete") this.#delete(row.dataset.conversation, row);
    else return;
    event.preventDefault();
  }

  // Renaming -------------------------------------------------------------------

  #rename(row, opener) {
    if (!row?.checkVisibility()) {
      this.#renameInHead(opener);
      return;
    }
    if (row.querySelector("input")) return;
    const link = row.querySelector("a");
    this.#edit(row.dataset.conversation, link, row.querySelector(".conversation-title").textContent);
  }

  /** Where the list is out of sight, or does not show it: in the head of the page. */
  #renameInHead() {
    const heading = find("page-title");
    if (!document.querySelector(".topbar .rename")) this.#edit(config.conversation, heading, heading.textContent);
  }

  #edit(id, shown, title) {
    const input = document.createElement("input");
    input.value = title;
    input.maxLength = 200;
    input.className = "rename";
    input.dir = "auto";
    input.setAttribute("aria-label", gettext("New title"));
    shown.hidden = true;
    shown.after(input);
    input.focus({ preventScroll: true });
    input.select();
    const close = (refocus) => {
      input.removeEventListener("blur", save);
      input.remove();
      shown.hidden = false;
      if (refocus) (shown.href ? shown : find("topbar-more")).focus();
    };
    const save = (event) => {
      const wanted = input.value.trim();
      close(event.type !== "blur");
      if (wanted && wanted !== title) this.#saveTitle(id, wanted, title);
    };
    input.addEventListener("blur", save);
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") save(event);
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      close(true);
    });
  }

  async #saveTitle(id, title, before) {
    this.sidebar.rename(id, title);
    if (!(await this.#set(id, { title }))) this.sidebar.rename(id, before);
  }

  // Changing -------------------------------------------------------------------

  /** Send a change; the frame that tells of it changes the list, here as in every tab. */
  async #set(id, change) {
    try {
      await callApi("PATCH", `conversations/${id}/`, change);
      return true;
    } catch (error) {
      this.#say(error.message);
      return false;
    }
  }

  async #archive(id, archived, row) {
    const title = this.sidebar.titleOf(id) ?? find("page-title").textContent;
    const next = neighbourOf(row);
    if (!(await this.#set(id, { archived })) || !archived) return;
    this.#focus(next);
    this.undo.offer({ id, title, change: "archived" });
  }

  async #delete(id, row) {
    const title = this.sidebar.titleOf(id) ?? find("page-title").textContent;
    const next = neighbourOf(row);
    const hadFocus = row?.contains(document.activeElement) || document.activeElement === document.body;
    try {
      await callApi("DELETE", `conversations/${id}/`);
    } catch (error) {
      this.#say(error.message);
      return;
    }
    this.sidebar.remove(id);
    if (hadFocus) this.#focus(next);
    this.undo.offer({ id, title, change: "deleted" });
    if (id === config.conversation) location.assign(config.home);
  }

  async #takeBack({ id, title, change }) {
    if (change === "archived") {
      await this.#set(id, { archived: false });
      return;
    }
    try {
      await callApi("POST", `conversations/${id}/restore/`);
      announce(interpolate(gettext("“%(title)s” is back."), { title }));
    } catch (error) {
      this.#say(error.message);
    }
  }

  /** What a form has deleted is offered back as a script's doing is. */
  #adoptBanner() {
    const banner = find("undo-banner");
    if (!banner) return;
    const { conversation: id, title } = banner.dataset;
    banner.remove();
    history.replaceState(null, "", config.home);
    this.undo.offer({ id, title, change: "deleted" });
  }

  #focus(row) {
    (row?.isConnected ? row.querySelector("a") : find("search")).focus({ preventScroll: true });
  }

  #say(message) {
    toast(message, { kind: "failed" });
  }
}

function neighbourOf(row) {
  const rows = [...document.querySelectorAll(".conversation")].filter((each) => each.checkVisibility());
  const place = rows.indexOf(row);
  return rows[place + 1] ?? rows[place - 1];
}

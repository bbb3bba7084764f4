// Whether somebody has the open conversation before their eyes: it is then read, and not closed.

import { addressOf, callApi, config } from "./page.js";
import { dismiss, toast } from "./toasts.js";
import { gettext, interpolate } from "./words.js";

const PAUSE = 700; // How long another tab gets to say that it has read the answer.

export class Presence {
  constructor(sidebar) {
    this.sidebar = sidebar;
    this.waiting = new Map();
    document.addEventListener("visibilitychange", () => this.look());
    addEventListener("pagehide", () => this.#tellOpen(false));
    addEventListener("pageshow", () => this.#tellOpen(true));
    this.look();
  }

  /** Mark what is before somebody's eyes as read, if it was not. */
  look() {
    const id = config.conversation;
    if (id && document.visibilityState === "visible" && this.sidebar.isUnread(id)) this.#read(id);
  }

  /** Follow a `conversation` frame. */
  apply({ id, unread, ended, open }) {
    if (unread === false) {
      clearTimeout(this.waiting.get(id));
      dismiss(id);
    }
    // Another tab has closed what is still open here.
    if (open === false && id === config.conversation && document.visibilityState === "visible") this.#tellOpen(true);
    if (!ended || ended === "stopped") return;
    if (id === config.conversation && document.visibilityState === "visible") {
      if (!config.temporary) this.#read(id);
      return;
    }
    clearTimeout(this.waiting.get(id));
    this.waiting.set(id, setTimeout(() => this.#ready(id, ended), PAUSE));
  }

  async #ready(id, ended) {
    this.waiting.delete(id);
    this.sidebar.setUnread(id, true);
    if (id === config.conversation) return; // It is seen when this tab is.
    const title = this.sidebar.titleOf(id) ?? (await titleFrom(id));
    if (title === null) return;
    const failed = ended !== "done";
    toast(interpolate(failed ? gettext("The answer failed: %(title)s") : gettext("Answer ready: %(title)s"), { title }), {
      kind: failed ? "failed" : "ready",
      action: gettext("Open"),
      act: () => location.assign(addressOf.conversation(id)),
      id,
    });
  }

  #read(id) {
    this.sidebar.setUnread(id, false);
    callApi("PATCH", `conversations/${id}/`, { unread: false }, { keepalive: true }).catch(() => null);
  }

  /** A temporary conversation lives on while a page of it is open. */
  #tellOpen(open) {
    if (!config.temporary || !config.conversation) return;
    callApi("PATCH", `conversations/${config.conversation}/`, { open }, { keepalive: true }).catch(() => null);
  }
}

/** The title of one that is not in the list; null for what is not kept, or gone. */
async function titleFrom(id) {
  const found = await callApi("GET", `conversations/${id}/`).catch(() => null);
  return found && !found.temporary ? found.title || gettext("New conversation") : null;
}

// The prompts that wait, as a rail above the composer: moved, sent now, taken back, removed.

import { announce, callApi, config, find, fromTemplate } from "./page.js";
import { toast } from "./toasts.js";
import { gettext, interpolate, ngettext } from "./words.js";

/** Event: "changed" (detail: what waits, the next one first). */
export class Queue extends EventTarget {
  constructor(composer) {
    super();
    this.composer = composer;
    this.rail = find("rail");
    this.list = find("rail-list");
    this.items = [];
    this.list.addEventListener("click", (event) => this.#clicked(event));
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("pointerdown", (event) => this.#grab(event));
  }

  /** Read the queue again. Of several readings at once, the last one asked for counts. */
  async read() {
    if (!config.conversation) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const { items } = await callApi("GET", `conversations/${config.conversation}/queue/`);
      if (turn === this.turn) this.#show(items);
    } catch {
      // The next news, or the next connection, asks again.
    }
  }

  #show(items) {
    this.items = items;
    this.rail.hidden = !items.length;
    const rows = new Map([...this.list.children].map((row) => [row.dataset.generation, row]));
    const wanted = items.map((item) => this.#row(item, rows.get(item.generation)));
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    for (const row of rows.values()) if (!wanted.includes(row)) row.remove();
    wanted.forEach((row, place) => {
      if (this.list.children[place] !== row) this.list.insertBefore(row, this.list.children[place] ?? null);
    });
    // What had the focus was moved, or went with its row.
    if (focused?.isConnected) focused.focus({ preventScroll: true });
    else if (focused) find("prompt").focus({ preventScroll: true });
    this.dispatchEvent(new CustomEvent("changed", { detail: items }));
  }

  #row(item, row = fromTemplate("queued-template")) {
    row.dataset.generation = item.generation;
    row.querySelector(".queued-text").textContent = item.text.replaceAll(/\s+/g, " ");
    const files = row.querySelector(".queued-files");
    files.hidden = !item.attached;
    files.title = interpolate(ngettext("%(count)s file", "%(count)s files", item.attached), { count: item.attached });
    files.lastElementChild.textContent = item.attached;
    const grip = row.querySelector(".queued-grip");
    grip.disabled = !item.movable;
    const place = { place: item.place, count: this.items.length, text: item.text.slice(0, 60) };
    grip.setAttribute("aria-label", interpolate(gettext("Move: %(text)s, %(place)s of %(count)s"), place));
    row.querySelector("[data-do=now]").disabled = !item.movable && item.place > 1;
    return row;
  }

  #itemOf(target) {
    const row = target.closest(".queued");
    return this.items.find((item) => item.generation === row?.dataset.generation);
  }

  #clicked(event) {
    const action = event.target.closest("[data-do]")?.dataset.do;
    const item = action && this.#itemOf(event.target);
    if (!item) return;
    if (action === "now") this.#call("POST", `generations/${item.generation}/send-now/`);
    else if (action === "edit") this.#withdraw(item, () => this.#putBack(item.text));
    else this.#withdraw(item, () => this.#offer(item));
  }

  #key(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.target.matches(".queued-grip")) return;
    event.preventDefault();
    const item = this.#itemOf(event.target);
    const place = (this.wish?.generation === item.generation ? this.wish.place : item.place) + step;
    if (place < 1 || place > this.items.length) return;
    this.#move(item, place);
  }

  /** Show the new order at once; the server's answer is what counts. */
  async #move(item, place) {
    this.wish = { generation: item.generation, place };
    const others = this.items.filter((each) => each !== item);
    others.splice(place - 1, 0, item);
    this.#show(others.map((each, index) => ({ ...each, place: index + 1 })));
    announce(interpolate(gettext("Place %(place)s of %(count)s"), { place, count: others.length }));
    this.moving = (this.moving ?? Promise.resolve()).then(() =>
      this.#call("PATCH", `generations/${item.generation}/`, { place }),
    );
    await this.moving;
    if (this.wish?.place === place) this.wish = null;
  }

  #grab(event) {
    const grip = event.target.closest(".queued-grip");
    if (!grip || grip.disabled || event.button) return;
    const row = grip.closest(".queued");
    const item = this.#itemOf(row);
    event.preventDefault(); // Of text to be marked.
    grip.focus({ preventScroll: true });
    row.classList.add("dragged");
    const follow = ({ clientY }) => {
      // It changes places with a neighbour when the pointer has crossed that one's middle.
      const before = [...this.list.children].find((other) => other !== row && clientY < middleOf(other));
      if (before !== row.nextElementSibling) this.list.insertBefore(row, before ?? null);
    };
    const drop = (end) => {
      for (const name of ["pointerup", "pointercancel"]) document.removeEventListener(name, drop);
      document.removeEventListener("pointermove", follow);
      row.classList.remove("dragged");
      const place = [...this.list.children].indexOf(row) + 1;
      const now = this.items.find((each) => each.generation === item.generation);
      if (end.type === "pointerup" && now && place !== now.place) this.#move(now, place);
      else this.#show(this.items);
    };
    // Not on the grip, nor captured by it: it is taken out of the list and put back as it moves.
    document.addEventListener("pointermove", follow);
    document.addEventListener("pointerup", drop);
    document.addEventListener("pointercancel", drop);
  }

  async #withdraw(item, done) {
    try {
      const { text } = await callApi("POST", `generations/${item.generation}/withdraw/`);
      item.text = text; // As it is now: another tab may have changed it.
      this.#show(this.items.filter((each) => each.generation !== item.generation));
      done();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Whatever is being typed stays, below what comes back. */
  #putBack(text) {
    const typed = this.composer.area.value;
    this.composer.fill(typed.trim() ? `${text}\n\n${typed}` : text);
  }

  #offer(item) {
    toast(gettext("Removed from the queue."), {
      action: gettext("Undo"),
      act: () => this.#putBack(item.text),
    });
  }

  async #call(method, path, body) {
    try {
      const turn = (this.turn = (this.turn ?? 0) + 1);
      const { items } = await callApi(method, path, body);
      if (turn === this.turn) this.#show(items);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error) {
    this.composer.show(error.message);
    this.read();
  }
}

function middleOf(row) {
  const { top, height } = row.getBoundingClientRect();
  return top + height / 2;
}

// The messages of the open conversation and the answers being written among them.

import { Answer } from "./answer.js";
import { copyFrom } from "./copy.js";
import { addressOf, announce, around, equipCode, find, focusOn, fromTemplate, get, parse } from "./page.js";
import { takeRating } from "./rating.js";
import { Scroll } from "./scroll.js";
import { takePager } from "./tree.js";
import { gettext } from "./words.js";

const AGAIN = 2000;

/** Events: "activity", "stale" (to be read again), "follow" and "unfollow" (detail: an Answer), and those of tree.js and again.js. */
export class Transcript extends EventTarget {
  constructor() {
    super();
    this.list = find("transcript");
    this.scroll = new Scroll();
    this.answers = new Map(); // By generation, while they are queued or running.
    this.list.addEventListener("click", (event) => this.#clicked(event));
    equipCode(this.list);
    this.#adopt(this.list);
    const last = this.list.querySelector(".message.user:nth-last-child(-n+2)");
    if (this.answers.size && last) this.scroll.showPrompt(last);
    this.scroll.toEnd();
  }

  get running() {
    return [...this.answers.values()].find((answer) => !answer.ended && !answer.position);
  }

  get active() {
    return [...this.answers.values()].filter((answer) => !answer.ended);
  }

  knows(messageId) {
    return Boolean(this.#article(messageId));
  }

  /** Show a prompt, and an answer to come, before the server has seen it. */
  addTurn(text) {
    const prompt = fromTemplate("user-template");
    prompt.querySelector(".bubble").textContent = text;
    const answer = this.#emptyAnswer();
    const waits = this.active.length > 0;
    this.list.append(prompt, answer.article);
    around.classList.remove("is-empty");
    find("empty").hidden = true;
    // A prompt that must wait does not take the running answer out of sight.
    if (waits) this.scroll.toEnd();
    else this.scroll.showPrompt(prompt);
    return { prompt, answer };
  }

  /** Show a new answer in the place of an earlier one, which it may go on from, and of all that followed it. */
  replaceAnswer(article, { goesOn = false } = {}) {
    const focused = article.contains(document.activeElement);
    while (article.nextElementSibling) article.nextElementSibling.remove();
    const answer = this.#emptyAnswer();
    if (goesOn) answer.part(".answer").append(...article.querySelector(".answer").childNodes);
    article.replaceWith(answer.article);
    if (focused) focusOn(answer.article);
    if (goesOn) this.scroll.toEnd(true);
    else this.scroll.showPrompt(answer.article.previousElementSibling ?? answer.article);
    return { prompt: null, answer };
  }

  /** Show an edited prompt, and an answer to come, in the place of what stood there. */
  replacePrompt(article, text) {
    while (article.nextElementSibling) this.#leave(article.nextElementSibling);
    article.remove();
    return this.addTurn(text);
  }

  /** The server accepted a turn: give it its ids and follow it. */
  accept({ prompt, answer }, frame) {
    this.#removeTwin(frame.answer, answer.article);
    if (prompt) {
      this.#removeTwin(frame.message, prompt);
      identify(prompt, frame.message);
    }
    identify(answer.article, frame.answer);
    answer.article.dataset.generation = frame.generation;
    answer.generation = frame.generation;
    answer.position = frame.position;
    answer.phase = frame.position ? "queued" : "thinking";
    const trace = answer.part(".trace-link");
    trace.href = addressOf.trace(frame.generation);
    trace.hidden = false;
    this.answers.set(frame.generation, answer);
    this.#activity();
  }

  /**
   * Take over the order of what waits: it is shown in the rail, and not here before it runs.
   * Return false if something of it is not on the page.
   */
  arrange(items) {
    const waiting = new Set(items.map((item) => item.generation));
    for (const article of this.list.querySelectorAll(".waits")) article.classList.remove("waits");
    for (const answer of this.active) {
      // Taken back elsewhere: its end is on the way, and shows nothing any more.
      if (answer.phase === "queued" && !waiting.has(answer.generation)) mark(answer.article, "waits");
    }
    let whole = true;
    for (const item of items) {
      const answer = this.answers.get(item.generation);
      const article = this.#article(item.answer);
      const prompt = this.#article(item.message);
      if (answer && answer.phase !== "queued") continue; // It has begun since this was read.
      if (article && prompt) {
        prompt.querySelector(".bubble").textContent = item.text;
        mark(article, "waits");
      }
      if (!answer || !article || !prompt) {
        whole = false;
        continue;
      }
      answer.article = article;
      article.dataset.generation = item.generation;
      answer.position = item.place;
      this.answers.delete(item.generation);
      this.answers.set(item.generation, answer); // They stand in the order of the queue.
    }
    this.#activity();
    return whole;
  }

  /** Read the page again and take over what differs: the way back after any time away. */
  async resync() {
    const address = location.pathname + location.search;
    // What comes or ends while the page is on its way is newer than the page.
    const before = new Map([...this.list.children].map((each) => [each.dataset.message, each.dataset.status]));
    const fresh = parse(await get(address));
    const list = fresh.getElementById("transcript");
    if (!list || address !== location.pathname + location.search) return null;
    const ids = new Set(this.#earlierThan(list.firstElementChild));
    let previous = this.#article([...ids].at(-1));
    for (const theirs of [...list.children]) {
      ids.add(theirs.dataset.message);
      previous = this.#merge(document.adoptNode(theirs), previous, before);
    }
    for (const ours of [...this.list.children]) {
      const id = ours.dataset.message;
      if (before.has(id) && id && !ids.has(id)) this.#leave(ours);
    }
    equipCode(this.list);
    this.#adopt(this.list);
    if (ids.size) find("empty").hidden = true;
    around.classList.toggle("is-empty", !this.list.children.length);
    return fresh;
  }

  /** Of messages that a smaller window does not reach: they stand above one that it shows. */
  #earlierThan(first) {
    const ours = [...this.list.children].map((article) => article.dataset.message);
    return ours.slice(0, Math.max(0, ours.indexOf(first?.dataset.message)));
  }

  /** It is not on the branch that is shown. If it is being written, it is so unseen. */
  #leave(article) {
    const answer = this.#answerOf(article);
    article.remove();
    if (!answer) return;
    this.answers.delete(answer.generation);
    this.dispatchEvent(new CustomEvent("unfollow", { detail: answer }));
  }

  #merge(theirs, previous, before) {
    const ours = this.#article(theirs.dataset.message);
    if (!ours) {
      if (previous) previous.after(theirs);
      else this.list.prepend(theirs);
      return theirs;
    }
    const { message, status } = ours.dataset;
    if (!before.has(message) || before.get(message) !== status) return ours;
    takePager(ours, theirs);
    takeRating(ours, theirs);
    const bubble = ours.querySelector(".bubble");
    if (bubble) takePrompt(bubble, theirs);
    const same = status === theirs.dataset.status && !ours.dataset.unsettled;
    if (this.#answerOf(ours) || same) return ours;
    ours.replaceWith(theirs);
    return theirs;
  }

  #adopt(root) {
    for (const article of root.querySelectorAll(".assistant[data-generation]")) {
      const { generation, age, status } = article.dataset;
      if (this.answers.has(generation)) continue;
      const position = status === "queued" ? 1 : 0;
      const answer = this.#watch(new Answer(article, { generation, position, age: Number(age) }));
      this.answers.set(generation, answer);
      this.dispatchEvent(new CustomEvent("follow", { detail: answer }));
    }
    this.#activity();
  }

  #emptyAnswer() {
    const answer = this.#watch(new Answer(fromTemplate("assistant-template")));
    answer.phase = "sending";
    return answer;
  }

  #watch(answer) {
    answer.addEventListener("changed", () => this.#activity());
    answer.addEventListener("ended", () => {
      this.answers.delete(answer.generation);
      if (answer.neverBegan) remove(answer.article);
      this.scroll.grown();
      this.#activity();
    });
    answer.addEventListener("placed", ({ detail }) => this.#place(answer, detail));
    answer.addEventListener("begun", () => {
      const prompt = answer.article.previousElementSibling;
      unmark(answer.article, "waits");
      if (this.scroll.pinned && prompt) this.scroll.showPrompt(prompt);
    });
    answer.addEventListener("lost", () => {
      setTimeout(() => this.dispatchEvent(new CustomEvent("follow", { detail: answer })), AGAIN);
    });
    return answer;
  }

  /** Its prompt was put in another place just before it began: see docs/protocol.md, Queue. */
  #place(answer, message) {
    const article = this.#article(message);
    if (!article || article === answer.article) return;
    answer.article = article;
    article.dataset.generation = answer.generation;
    this.dispatchEvent(new Event("stale"));
  }

  #activity() {
    // The places in the queue follow from the order on the page.
    let place = 0;
    for (const answer of this.active) {
      if (answer.phase === "queued") answer.position = place += 1;
    }
    this.dispatchEvent(new Event("activity"));
  }

  #article(id) {
    return id ? this.list.querySelector(`[data-message="${CSS.escape(id)}"]`) : null;
  }

  /** The answer that an article shows and goes on to show: its end may be known and its rendering on the way. */
  #answerOf(article) {
    return [...this.answers.values()].find((answer) => answer.article === article);
  }

  #removeTwin(id, mine) {
    const twin = this.#article(id);
    if (!twin || twin === mine) return;
    const answer = this.#answerOf(twin);
    if (answer) this.answers.delete(answer.generation);
    twin.remove();
  }

  #clicked(event) {
    const button = event.target.closest("button[data-action^=copy]");
    if (button) copyFrom(button).catch(() => announce(gettext("It could not be copied.")));
  }
}

function identify(article, id) {
  article.dataset.message = id;
  article.id = `m-${id}`;
  const heading = article.querySelector("h2");
  heading.id = `h-${id}`;
  article.setAttribute("aria-labelledby", heading.id);
}

/** Of a turn: its answer, and its prompt if it has none besides. */
function turnOf(article) {
  const prompt = article.previousElementSibling;
  return prompt?.classList.contains("user") ? [prompt, article] : [article];
}

/** Take over what a prompt says, and its files: in the queue both may have moved. */
function takePrompt(bubble, theirs) {
  bubble.textContent = theirs.querySelector(".bubble").textContent;
  const [mine, files] = [bubble.parentElement, theirs].map((article) => article.querySelector(".files"));
  if (mine?.textContent === files?.textContent) return;
  mine?.remove();
  if (files) bubble.before(files);
}

function mark(article, name) {
  for (const part of turnOf(article)) part.classList.add(name);
}

function unmark(article, name) {
  for (const part of turnOf(article)) part.classList.remove(name);
}

function remove(article) {
  for (const part of turnOf(article)) part.remove();
}

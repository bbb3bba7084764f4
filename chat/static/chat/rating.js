// Rating an answer: one press rates it at once, and opens a panel that asks why.

import { addressOf, announce, callApi, fromTemplate, get, parse } from "./page.js";
import { toast } from "./toasts.js";
import { gettext } from "./words.js";

const NONE = { value: "", reasons: "", comment: "" };
const states = new Map(); // By message.

export function prepareRatings(list) {
  list.addEventListener("click", (event) => {
    const asked = event.target.closest("[data-action=rate], [data-action=why]");
    if (!asked || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const article = asked.closest("article");
    if (asked.dataset.action === "rate") press(article, asked.value);
    else open(article).querySelector("fieldset:enabled input").focus();
  });
}

/** News: an answer was rated, here or in another tab. */
export async function readRating(message) {
  const article = document.querySelector(`[data-message="${CSS.escape(message)}"]`);
  if (!article || !groupOf(article)) return;
  const state = stateOf(article);
  if (state.sending) {
    state.isStale = true; // To be read when the last of this tab's own changes is through.
    return;
  }
  const { count } = state;
  const fresh = await get(addressOf.message(message)).catch(() => null);
  if (fresh && state.count === count) takeRating(article, parse(fresh));
}

/** Take over how an answer is rated, from the same answer as the server shows it now. */
export function takeRating(ours, theirs) {
  const [old, fresh] = [groupOf(ours), groupOf(theirs)];
  if (!old || !fresh || stateOf(ours).sending) return;
  if (old.dataset.value !== fresh.dataset.value) panelOf(ours)?.remove();
  show(ours, fresh.dataset);
}

function groupOf(root) {
  return root.querySelector(".rating");
}

function panelOf(article) {
  return article.querySelector(".rating-panel");
}

function stateOf(article) {
  const id = article.dataset.message;
  if (!states.has(id)) states.set(id, { sending: 0, count: 0, isStale: false, kept: null, last: Promise.resolve() });
  return states.get(id);
}

async function press(article, value) {
  const before = groupOf(article).dataset;
  // What was written stays; reasons for the other value would be wrong.
  const after = before.value === value ? NONE : { ...NONE, value, comment: before.comment };
  const written = panelOf(article)?.elements.comment.value ?? after.comment;
  const saving = save(article, after);
  panelOf(article)?.remove();
  const panel = after.value ? open(article) : null;
  if (panel) panel.elements.comment.value = written; // Perhaps not saved yet.
  announce(after.value ? gettext("Rated. Below the answer you can say why.") : gettext("The rating is removed."));
  if (!(await saving)) panel?.remove();
}

function show(article, { value, reasons, comment }) {
  const group = groupOf(article);
  Object.assign(group.dataset, { value, reasons, comment });
  for (const button of group.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
  group.querySelector(".rating-why").hidden = !value;
}

function open(article) {
  panelOf(article)?.remove();
  const panel = fromTemplate("rating-template");
  const { value, reasons, comment } = groupOf(article).dataset;
  for (const part of panel.querySelectorAll("fieldset")) part.hidden = part.disabled = part.dataset.value !== value;
  for (const box of panel.querySelectorAll("input")) box.checked = reasons.split(" ").includes(box.value);
  panel.elements.comment.value = comment;
  panel.addEventListener("click", (event) => {
    const what = event.target.closest("[data-do]")?.dataset.do;
    if (what) close(article);
    if (what === "remove") press(article, value);
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) panel.requestSubmit();
    else if (event.key !== "Escape" || event.isComposing) return;
    else close(article);
    event.preventDefault();
    event.stopPropagation(); // Elsewhere Escape stops the answer.
  });
  panel.addEventListener("submit", (event) => {
    event.preventDefault();
    keep(article, panel, value);
  });
  article.querySelector(".message-foot").after(panel);
  panel.scrollIntoView({ block: "nearest" });
  return panel;
}

/** What had the focus goes with the panel; the thumb that is pressed is the nearest to it. */
function close(article) {
  const hadFocus = panelOf(article).contains(document.activeElement);
  panelOf(article).remove();
  if (hadFocus) groupOf(article).querySelector("[aria-pressed=true]")?.focus({ preventScroll: true });
}

async function keep(article, panel, value) {
  const data = new FormData(panel);
  const after = { value, reasons: data.getAll("reasons").join(" "), comment: data.get("comment").trim() };
  if (!(await save(article, after))) return;
  if (panel.isConnected) close(article);
  announce(gettext("Saved"));
}

/**
 * Show a rating and send it, one after another of the same answer. Return whether the server has it.
 * What the server has is shown once the last is through, so that none is shown over a later one.
 */
async function save(article, rating) {
  const state = stateOf(article);
  if (!state.sending) state.kept = { ...groupOf(article).dataset };
  show(article, rating);
  state.count += 1;
  state.sending += 1;
  const sent = state.last.then(() => send(article.dataset.message, rating));
  state.last = sent.catch(() => {});
  try {
    await sent;
    state.kept = rating;
    return true;
  } catch (error) {
    toast(error.message, { kind: "failed" });
    return false;
  } finally {
    state.sending -= 1;
    if (!state.sending) show(article, state.kept);
    if (!state.sending && state.isStale) {
      state.isStale = false;
      readRating(article.dataset.message);
    }
  }
}

function send(message, { value, reasons, comment }) {
  const path = `messages/${message}/rating/`;
  if (!value) return callApi("DELETE", path);
  return callApi("PUT", path, { value: Number(value), reasons: reasons.split(" ").filter(Boolean), comment });
}

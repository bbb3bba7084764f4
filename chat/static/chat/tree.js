// Other versions of a message: shown in its place, and remembered by the server for every tab.

import { announce, callApi, config, fromTemplate } from "./page.js";
import { gettext } from "./words.js";

export function prepareTree(transcript) {
  transcript.list.addEventListener("submit", (event) => {
    const form = event.target.closest(".pager");
    if (!form || !event.submitter?.value || !config.conversation) return;
    event.preventDefault();
    show(transcript, event.submitter).catch(() => announce(gettext("That did not work. Try again.")));
  });
  transcript.list.addEventListener("click", (event) => {
    const button = event.target.closest('[data-action="edit"]');
    if (button) edit(transcript, button.closest("article"));
  });
}

/** Have a prompt edited in its place. What is sent stands beside it: nothing is overwritten. */
function edit(transcript, article) {
  if (article.querySelector(".edit-form") || !article.dataset.message) return;
  const bubble = article.querySelector(".bubble");
  const form = fromTemplate("edit-template");
  const field = form.querySelector("textarea");
  const leave = () => {
    form.remove();
    bubble.hidden = false;
    article.querySelector('[data-action="edit"]').focus({ preventScroll: true });
  };
  field.value = bubble.textContent;
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    else if (event.key !== "Escape" || event.isComposing) return;
    else leave();
    event.preventDefault();
    event.stopPropagation(); // Elsewhere Escape stops the answer.
  });
  form.querySelector('[data-action="leave-edit"]').addEventListener("click", leave);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!field.value.trim()) return;
    const detail = { article, text: field.value, parent: parentOf(article) };
    transcript.dispatchEvent(new CustomEvent("edit", { detail }));
  });
  bubble.hidden = true;
  bubble.after(form);
  field.focus();
}

/** The id of the message that a prompt follows, null at the root. */
function parentOf(article) {
  const { parent } = article.dataset;
  return (parent ?? article.previousElementSibling?.dataset.message) || null;
}

async function show(transcript, button) {
  const { value, dataset } = button;
  await callApi("PATCH", `conversations/${config.conversation}/`, { leaf: value });
  await transcript.resync();
  const pager = document.querySelector(`#m-${CSS.escape(value)} .pager`);
  if (!pager) return;
  const same = pager.querySelector(`[data-step="${dataset.step}"]`);
  (same.disabled ? pager.querySelector("button:enabled") : same)?.focus({ preventScroll: true });
  announce(pager.querySelector(".pager-place .visually-hidden").textContent);
}

/** Take over which version a message is of how many. */
export function takePager(ours, theirs) {
  const [old, fresh] = [ours, theirs].map((article) => article.querySelector(".pager"));
  if (old && fresh && old.textContent === fresh.textContent) {
    for (const button of old.querySelectorAll("button")) {
      const twin = fresh.querySelector(`[data-step="${button.dataset.step}"]`);
      button.value = twin.value;
      button.disabled = twin.disabled;
    }
  } else if (old && fresh) old.replaceWith(fresh);
  else if (old) old.remove();
  else if (fresh) ours.querySelector(".message-foot")?.prepend(fresh);
}

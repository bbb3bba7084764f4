// Other versions of a message: shown in its place, and remembered by the server for every tab.

import { announce, callApi, config, word } from "./page.js";

export function prepareTree(transcript) {
  transcript.list.addEventListener("submit", (event) => {
    const form = event.target.closest(".pager");
    if (!form || !event.submitter?.value || !config.conversation) return;
    event.preventDefault();
    show(transcript, event.submitter).catch(() => announce(word("failed_action")));
  });
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

// Puts the parts of the trace page together. Without it the page shows the same, by its links.

import { config, copyText, announce, find, get, parse } from "./page.js";
import { Keys } from "./trace-keys.js";
import { Live } from "./trace-live.js";
import { Replay } from "./trace-replay.js";
import { Steps } from "./trace-steps.js";
import { gettext } from "./words.js";

const steps = new Steps();
const keys = new Keys(steps);
if (find("replay")) new Replay(steps);

// What the server renders anew while an answer is written, apart from the step that is looked at.
const PARTS = ["summary", "steps", "graph", "insights"];

/** Read the page again and put its parts in place. */
async function refresh({ follow }) {
  const query = new URLSearchParams(location.search);
  if (follow) query.delete("step");
  const fresh = parse(await get(`${location.pathname}?${query}`));
  const focused = document.activeElement?.closest(".step-row")?.dataset.step;
  for (const id of PARTS) {
    const scrolled = [...find(id).querySelectorAll("[tabindex='0']")].map((box) => box.scrollLeft);
    find(id).replaceChildren(...document.adoptNode(fresh.getElementById(id)).childNodes);
    [...find(id).querySelectorAll("[tabindex='0']")].forEach((box, i) => {
      box.scrollLeft = scrolled[i] ?? 0;
    });
  }
  steps.renewed(fresh.getElementById("step"), { focused });
  return fresh;
}

/** The answer has ended: its text, replay and forks are what the server says they are. */
function finish(fresh) {
  const ended = fresh.getElementById("answer");
  find("answer").replaceWith(document.adoptNode(ended));
  find("family").replaceWith(document.adoptNode(fresh.getElementById("family")));
  find("live")?.remove();
  find("follow")?.remove();
  find("content").dataset.status = fresh.getElementById("content").dataset.status;
  if (find("replay")) new Replay(steps);
}

if (config.live) new Live({ refresh, finish, steps });

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  const { action } = button.dataset;
  if (action === "copy-json") copyPart(button).catch(() => announce(gettext("It could not be copied.")));
  else foldAll(button.closest(".tab-panel"), action === "unfold");
});

function foldAll(panel, open) {
  for (const details of panel.querySelectorAll(".json details")) details.open = open;
}

async function copyPart(button) {
  const values = JSON.parse(await get(`${steps.address}?as=json`));
  await copyText(JSON.stringify(values[button.dataset.part], null, 2));
  button.classList.add("did");
  announce(gettext("Copied"));
  setTimeout(() => button.classList.remove("did"), 1500);
}

keys.start();

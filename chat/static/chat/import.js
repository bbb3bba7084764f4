// Sends a file of conversations in parts that the server takes, however large the file is.

import { gettext, interpolate } from "./words.js";

const MOST_BYTES = 900_000; // Of one request, whose body has a bound of a megabyte.
const MOST_ITEMS = 200;
const ATTEMPTS = 3;
const COUNTED = {
  imported: gettext("%(n)s imported."),
  already: gettext("%(n)s were here already."),
  skipped: gettext("%(n)s parts that are no text were left out."),
  failed: gettext("%(n)s failed:"),
};

const find = (id) => document.getElementById(id);
const form = find("import-form");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await importFile(form.file.files[0]);
  } catch (error) {
    say(error.message);
  }
  button.setAttribute("aria-disabled", "false");
});

async function importFile(file) {
  find("import-failed").replaceChildren();
  say(gettext("Reading the file …"));
  const items = itemsOf(await file.text());
  const total = { imported: 0, already: 0, skipped: 0, failed: 0 };
  let done = 0;
  for (const { bodies, numbers, tooLarge } of parts(items)) {
    for (const { number, size } of tooLarge) {
      total.failed += 1;
      tellFailed(items[number]?.title, number, interpolate(gettext("It is too large: %(size)s MB. An administrator can import it."), { size: (size / 1e6).toFixed(1) }));
    }
    if (bodies.length) add(total, await send(bodies), numbers);
    done += numbers.length + tooLarge.length;
    say(interpolate(gettext("%(done)s of %(all)s …"), { done, all: items.length }));
    progress(done, items.length);
  }
  progress(0, 0);
  const lines = Object.entries(total).filter(([name, n]) => n || name === "imported");
  say(lines.map(([name, n]) => interpolate(COUNTED[name], { n })).join(" "));
}

function itemsOf(text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(gettext("Choose a JSON file: an export of this site or of ChatGPT."));
  }
  const items = Array.isArray(content) ? content : content?.conversations;
  if (!Array.isArray(items) || !items.length) throw new Error(gettext("There are no conversations in this file."));
  return items;
}

/** Yield the items as JSON, as many together as go into one request. */
function* parts(items) {
  const fresh = () => ({ bodies: [], numbers: [], tooLarge: [], size: 0 });
  let part = fresh();
  for (const [number, item] of items.entries()) {
    const body = JSON.stringify(slim(item));
    const size = new Blob([body]).size;
    if (size > MOST_BYTES) {
      part.tooLarge.push({ number, size });
      continue;
    }
    if (part.size + size > MOST_BYTES || part.bodies.length === MOST_ITEMS) {
      yield part;
      part = fresh();
    }
    part.bodies.push(body);
    part.numbers.push(number);
    part.size += size + 1;
  }
  yield part;
}

/** Of ChatGPT's nodes leave out what the server does not look at: most of the file. */
function slim(item) {
  if (!item?.mapping || typeof item.mapping !== "object") return item;
  const { title, create_time, update_time, current_node, conversation_id, id, is_archived } = item;
  const mapping = Object.fromEntries(
    Object.entries(item.mapping).map(([name, node]) => [name, slimNode(node)]),
  );
  return { title, create_time, update_time, current_node, conversation_id, id, is_archived, mapping };
}

function slimNode(node) {
  const message = node?.message;
  if (!message) return { parent: node?.parent ?? null };
  const { author, content, create_time, recipient, metadata } = message;
  const isText = ["text", "multimodal_text"].includes(content?.content_type);
  const parts = isText ? content.parts?.map((part) => (typeof part === "string" ? part : {})) : undefined;
  return {
    parent: node.parent ?? null,
    message: {
      author: { role: author?.role },
      create_time,
      recipient,
      // What is no text is counted: that it is there is enough.
      content: isText ? { content_type: content.content_type, parts } : { content_type: "other", text: "…" },
      metadata: {
        model_slug: metadata?.model_slug,
        is_visually_hidden_from_conversation: metadata?.is_visually_hidden_from_conversation,
      },
    },
  };
}

async function send(bodies) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(form.dataset.api, {
      method: "POST",
      credentials: "same-origin",
      headers: {
        "Content-Type": "application/json",
        "X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value,
      },
      body: `{"conversations":[${bodies.join(",")}]}`,
    }).catch(() => null);
    const content = await response?.json().catch(() => null);
    if (response?.ok) return content;
    // Sent again, what came in already is not doubled.
    const isLast = attempt === ATTEMPTS || (content?.error && !content.error.retryable);
    if (isLast) throw new Error(content?.error?.message ?? gettext("The server did not answer. Try again: nothing is doubled."));
    await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
  }
}

function add(total, report, numbers) {
  for (const name of Object.keys(total)) total[name] += report[name];
  for (const { index, title, error } of report.items) {
    if (error) tellFailed(title, numbers[index], error.message);
  }
}

function tellFailed(title, number, reason) {
  const line = document.createElement("li");
  line.textContent = `${title || interpolate(gettext("number %(n)s"), { n: number + 1 })}: ${reason}`;
  find("import-failed").append(line);
}

function say(text) {
  find("import-report").hidden = false;
  find("import-line").textContent = text;
}

function progress(done, all) {
  const bar = find("import-progress");
  bar.hidden = !all;
  bar.max = all || 1;
  bar.value = done;
}

// What several modules need to know of the page.

import { gettext } from "./words.js";

export const config = JSON.parse(document.getElementById("page-config").textContent);

/** Whether another page shows this one, without the list of conversations. */
export const isFramed = parent !== window;

/** Under which name something of the conversation is kept here; in each frame of a page another may begin. */
export function keptAs(prefix) {
  const begun = isFramed ? `new:${window.name}` : "new";
  return `${prefix}${config.user}:${config.conversation ?? begun}`;
}

export const find = (id) => document.getElementById(id);
/** The element around the page: the body, or one inside it under the header of a project. */
export const around = document.querySelector(".chat-page") ?? document.body;
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

const NIL = "00000000-0000-0000-0000-000000000000";

export const addressOf = {
  conversation: (id) => config.conversation_address.replace(NIL, id),
  message: (id) => config.message_address.replace(NIL, id),
  trace: (id) => config.trace_address.replace(NIL, id),
  options: (id) => config.options_address.replace(NIL, id),
};

export function fromTemplate(id) {
  return find(id).content.firstElementChild.cloneNode(true);
}

export function newId() {
  // randomUUID exists on HTTPS only; a site in a home network may not have it.
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Fetch HTML or text of ours. Throws unless the answer is a success that is not the sign-in page. */
export async function get(address) {
  const response = await fetch(address, { credentials: "same-origin", cache: "no-store" });
  if (!response.ok || response.redirected) throw new Error(`${response.status}`);
  return response.text();
}

/** Call the JSON API with the session. With `keepalive` it outlives the page. */
export async function callApi(method, path, body, { keepalive = false } = {}) {
  const response = await fetch(config.api + path, {
    method,
    keepalive,
    credentials: "same-origin",
    headers: {
      Accept: "application/json",
      "Content-Type": "application/json",
      "X-CSRFToken": document.querySelector("input[name=csrfmiddlewaretoken]").value,
    },
    body: body && JSON.stringify(body),
  });
  const content = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new Error(content?.error?.message || gettext("That did not work. Try again."));
  return content;
}

export function parse(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

/** A time as a person reads it; the server writes it the same way. */
export function duration(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** Give the focus to a message: what had it in there is gone, and this is the nearest to it. */
export function focusOn(article) {
  article.tabIndex = -1;
  article.focus({ preventScroll: true });
}

let announcing;

/** Tell screen readers, without moving the focus. The region is emptied again, after they took it. */
export function announce(text) {
  const region = find("announcer");
  clearTimeout(announcing);
  region.textContent = text;
  announcing = setTimeout(() => region.replaceChildren(), 4000);
}

export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy"); // The only way on plain HTTP.
  area.remove();
  focused?.focus({ preventScroll: true });
  return undefined;
}

/** Give every finished block of code its copy button. */
export function equipCode(root) {
  for (const head of root.querySelectorAll(".code-head")) {
    if (!head.querySelector("button")) head.append(fromTemplate("copy-code-template"));
  }
}

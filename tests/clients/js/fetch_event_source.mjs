// fetch-event-source posts a prompt and reads its answer: URL KEY BODY OPTIONS. Prints what it has
// seen: messages as [event, data, id], the last-event-id of each of its requests, the calls of onclose.
// OPTIONS: {hide: leave the page for a moment after so many messages, fail: throw once at that event}.
import { fetchEventSource } from "@microsoft/fetch-event-source";

import { print, told } from "./lib.mjs";

const [url, key, body, { hide = 0, fail = null }] = told();
// What it needs of a browser: timers, and a page that can be hidden.
globalThis.window = globalThis;
globalThis.document = Object.assign(new EventTarget(), { hidden: false });

function show(visible) {
  document.hidden = !visible;
  document.dispatchEvent(new Event("visibilitychange"));
}

const seen = { messages: [], requests: [], closed: 0 };
let failed = false;
await fetchEventSource(url, {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
  body: JSON.stringify(body),
  fetch(address, init) {
    seen.requests.push(init.headers["last-event-id"] ?? null);
    return fetch(address, init);
  },
  async onopen(response) {
    if (response.status !== 200 || response.headers.get("content-type") !== "text/event-stream") {
      throw new Error(`${response.status} ${response.headers.get("content-type")}`);
    }
  },
  onmessage({ event, data, id }) {
    if (!data) return; // A comment.
    if (event === fail && !failed) {
      failed = true;
      throw new Error("What the page does with it fails.");
    }
    seen.messages.push([event, data, id]);
    if (seen.messages.length === hide) {
      show(false);
      setTimeout(show, 100, true);
    }
  },
  onclose() {
    seen.closed += 1;
  },
  onerror(error) {
    if (seen.requests.length > 5) throw error;
    return 20;
  },
});
print(seen);
process.exit();

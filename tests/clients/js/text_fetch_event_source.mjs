// fetch-event-source with the handlers of its README, appending the text of an answer: URL KEY OPTIONS.
// OPTIONS: {body: posted if given, hide: leave the page for a moment after so many messages}. Prints
// what it has logged, appended and requested, and how it ended.
import { EventStreamContentType, fetchEventSource } from "@microsoft/fetch-event-source";

import { print, told } from "./lib.mjs";

const [url, key, { body = null, hide = null }] = told();
// What it needs of a browser: timers, and a page that can be hidden.
globalThis.window = globalThis;
globalThis.document = Object.assign(new EventTarget(), { hidden: false });

class FatalError extends Error {}

function show(visible) {
  document.hidden = !visible;
  document.dispatchEvent(new Event("visibilitychange"));
}

const seen = { log: [], text: "", empty: 0, requests: [], end: "resolved" };
let messages = 0;
const posted = { method: "POST", body: JSON.stringify(body) };
const headers = { Authorization: `Bearer ${key}` };
if (body) headers["Content-Type"] = "application/json";
try {
  await fetchEventSource(url, {
    ...(body && posted),
    headers,
    fetch(address, init) {
      seen.requests.push(init.headers["last-event-id"] ?? null);
      return fetch(address, init);
    },
    async onopen(response) {
      if (response.ok && response.headers.get("content-type") === EventStreamContentType) {
        seen.log.push("good");
      } else if (response.status >= 400 && response.status < 500 && response.status !== 429) {
        seen.log.push(response.status);
        throw new FatalError(await response.text());
      } else {
        seen.log.push("retriable");
      }
    },
    onmessage({ event, data }) {
      if (event === "FatalError") throw new FatalError(data);
      if (!data) seen.empty += 1;
      seen.text += data;
      if (messages === hide) {
        show(false);
        setTimeout(show, 100, true);
      }
      messages += 1;
    },
    onclose() {
      seen.log.push("closed");
    },
    onerror(error) {
      if (error instanceof FatalError) throw error;
      seen.log.push("again");
    },
  });
} catch (error) {
  seen.end = error.message;
}
print(seen);
process.exit();

// Three EventSources read one address until they close: URL KEY SESSION. Prints what each has seen:
// its events, the Last-Event-ID of each of its requests, the state it ended in. One takes a fetch
// that adds the key; the others, undici's and Node's own, send a session cookie.
import { print, told } from "./lib.mjs";
import { openers } from "./sources.mjs";

const [url, key, session] = told();
const KINDS = ["started", "step", "reasoning", "delta", "done", "stopped", "failed", "interrupted", "message"];

function read(client, open) {
  const seen = { client, events: [], requests: [], opened: 0 };
  const source = open(url, seen.requests);
  source.onopen = () => (seen.opened += 1);
  for (const kind of KINDS) {
    source.addEventListener(kind, ({ data, lastEventId }) => seen.events.push([kind, data, lastEventId]));
  }
  return new Promise((resolve) => {
    source.onerror = () => {
      if (source.readyState !== source.CLOSED) return;
      resolve({ ...seen, state: source.readyState });
    };
  });
}

// Those of Node are back sooner than after the usual three seconds.
const sources = openers(
  { authorization: `Bearer ${key}` },
  { cookie: `sessionid=${session}` },
  { reconnectionTime: 100 },
);
const all = Object.entries(sources).map(([client, open]) => read(client, open));
setInterval(() => {}, 1000); // Two of them wait with a timer that keeps no process.
for (const seen of await Promise.all(all)) print(seen);
process.exit();

// Three EventSources read one address until they close: URL KEY SESSION. Prints what each has seen:
// its events, the Last-Event-ID of each of its requests, the state it ended in. One takes a fetch
// that adds the key; the others, undici's and Node's own, send a session cookie.
import { EventSource } from "eventsource";
import { Agent, Dispatcher1Wrapper, EventSource as UndiciEventSource } from "undici";

import { print, told } from "./lib.mjs";

const [url, key, session] = told();
const KINDS = ["started", "step", "reasoning", "delta", "done", "stopped", "failed", "interrupted", "message"];

function withKey(requests) {
  return {
    fetch(address, init) {
      requests.push(init.headers["Last-Event-ID"] ?? null);
      return fetch(address, { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}` } });
    },
  };
}

function withSession(requests) {
  const dispatcher = new Agent().compose((dispatch) => (options, handler) => {
    requests.push(new Headers(options.headers).get("last-event-id"));
    const headers = { ...Object.fromEntries(new Headers(options.headers)), cookie: `sessionid=${session}` };
    return dispatch({ ...options, headers }, handler);
  });
  return dispatcher;
}

/** undici's, back sooner than after the usual three seconds. */
function current(requests) {
  return { node: { dispatcher: withSession(requests), reconnectionTime: 100 } };
}

/** Node's own, which is an older undici. */
function builtIn(requests) {
  return { node: { dispatcher: new Dispatcher1Wrapper(withSession(requests)), reconnectionTime: 100 } };
}

function read(client, Source, options) {
  const seen = { client, events: [], requests: [], opened: 0 };
  const source = new Source(url, options(seen.requests));
  source.onopen = () => (seen.opened += 1);
  for (const kind of KINDS) {
    source.addEventListener(kind, ({ data, lastEventId }) => seen.events.push([kind, data, lastEventId]));
  }
  return new Promise((resolve) => {
    source.onerror = () => {
      if (source.readyState !== Source.CLOSED) return;
      resolve({ ...seen, state: source.readyState });
    };
  });
}

const all = [read("eventsource", EventSource, withKey), read("undici", UndiciEventSource, current)];
all.push(read("node", globalThis.EventSource, builtIn));
setInterval(() => {}, 1000); // Two of them wait with a timer that keeps no process.
for (const seen of await Promise.all(all)) print(seen);
process.exit();

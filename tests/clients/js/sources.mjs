// Three EventSources that send headers of their own: one takes a fetch that adds them, undici's and
// Node's own a dispatcher. Node's needs the flag --experimental-eventsource.
import { EventSource } from "eventsource";
import { Agent, Dispatcher1Wrapper, EventSource as UndiciEventSource } from "undici";

/**
 * What opens each, by its name: with the headers of ``fetched``, or of ``dispatched``, and further
 * options for Node's. ``requests`` gets the Last-Event-ID of every request, or null.
 */
export function openers(fetched, dispatched = fetched, options = {}) {
  return {
    eventsource: (url, requests) => new EventSource(url, { fetch: fetchWith(fetched, requests) }),
    undici: (url, requests) => {
      const dispatcher = dispatcherWith(dispatched, requests);
      return new UndiciEventSource(url, { node: { ...options, dispatcher } });
    },
    node: (url, requests) => {
      // It is an older undici.
      const dispatcher = new Dispatcher1Wrapper(dispatcherWith(dispatched, requests));
      return new globalThis.EventSource(url, { node: { ...options, dispatcher } });
    },
  };
}

function fetchWith(added, requests) {
  return (url, init) => {
    requests.push(init.headers["Last-Event-ID"] ?? null);
    return fetch(url, { ...init, headers: { ...init.headers, ...added } });
  };
}

function dispatcherWith(added, requests) {
  return new Agent().compose((dispatch) => (options, handler) => {
    const headers = Object.fromEntries(new Headers(options.headers));
    requests.push(headers["last-event-id"] ?? null);
    return dispatch({ ...options, headers: { ...headers, ...added } }, handler);
  });
}

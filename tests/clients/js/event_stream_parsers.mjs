// Parsers of event streams: each line of input is the pieces of a stream in base64, each line of
// output what every parser makes of them, as {parser: [[event, data, id], …]}.
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { fetchEventSource } from "@microsoft/fetch-event-source";
import { createParser } from "eventsource-parser";

import { print } from "./lib.mjs";

// The class with which undici's EventSource, and Node's own, reads a response.
const require = createRequire(import.meta.url);
const { EventSourceStream } = require("undici/lib/web/eventsource/eventsource-stream.js");

// What fetch-event-source needs of a browser.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

const PARSERS = {
  "eventsource-parser"(pieces, take) {
    const parser = createParser({
      onEvent: ({ event, data, id }) => take(event, data, id),
    });
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    for (const piece of pieces) parser.feed(decoder.decode(piece, { stream: true }));
  },

  async undici(pieces, take) {
    const stream = new EventSourceStream({
      eventSourceSettings: { lastEventId: "", reconnectionTime: 3000 },
      push: (event) => event && take(event.type, event.options.data, event.options.lastEventId),
    });
    for (const piece of pieces) stream.write(piece);
    stream.end();
    await once(stream, "finish");
  },

  async "fetch-event-source"(pieces, take) {
    const body = new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(new Uint8Array(piece));
        controller.close();
      },
    });
    await fetchEventSource("http://127.0.0.1/", {
      fetch: async () => new Response(body, { headers: { "content-type": "text/event-stream" } }),
      onmessage: ({ event, data, id }) => take(event, data, id),
      onerror(error) {
        throw error;
      },
    });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const pieces = JSON.parse(line).map((piece) => Buffer.from(piece, "base64"));
  const found = {};
  for (const [name, parse] of Object.entries(PARSERS)) {
    const events = (found[name] = []);
    await parse(pieces, (event, data, id) => events.push([event || "message", data, id || ""]));
  }
  print(found);
}

// EventSources that append the text of an answer, three for each way to know its end: URL KEY ENDS.
// URL ends where a question begins; each asks its own name and way. ENDS: "error" closes on any error,
// "[DONE]" on that, "nothing" never. Prints, once all are closed, what each has appended and requested.
import { print, told } from "./lib.mjs";
import { openers } from "./sources.mjs";

const [url, key, ends] = told();

function read(client, open, end) {
  const seen = { client, end, text: "", requests: [], opened: 0 };
  const source = open(url + encodeURIComponent(`${client} ${end}`), seen.requests);
  return new Promise((resolve) => {
    function close() {
      source.close();
      resolve(seen);
    }
    source.onopen = () => (seen.opened += 1);
    source.onmessage = ({ data }) => {
      if (data === "[DONE]" && end === "[DONE]") close();
      else seen.text += data;
    };
    source.onerror = () => {
      if (end === "error" || source.readyState === source.CLOSED) close();
    };
  });
}

setInterval(() => {}, 1000); // Two of them wait with a timer that keeps no process.
const sources = Object.entries(openers({ authorization: `Bearer ${key}` }));
const reading = ends.flatMap((end) => sources.map(([client, open]) => read(client, open, end)));
for (const seen of await Promise.all(reading)) print(seen);
process.exit();

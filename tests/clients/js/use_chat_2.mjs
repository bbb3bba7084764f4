// The useChat hook of ai@2 in a page: URL KEY TURNS. Sends the turns one after another and prints the
// messages it then has, the error that it reports, and how many different texts it has shown last.
import { JSDOM } from "jsdom";

import { print, told } from "./lib.mjs";

const [api, key, turns] = told();
const { window } = new JSDOM("<main></main>", { url: "http://127.0.0.1/" });
Object.assign(globalThis, { window, document: window.document });

const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useChat } = await import("ai2/react");

const settled = () => new Promise((resolve) => setTimeout(resolve, 50));

let chat;
const shown = new Set();
function Page() {
  chat = useChat({ api, headers: { Authorization: `Bearer ${key}` } });
  shown.add(chat.messages.at(-1)?.content);
  return null;
}

createRoot(document.querySelector("main")).render(createElement(Page));
await settled();
for (const content of turns) {
  await chat.append({ role: "user", content });
  await settled();
}
const messages = chat.messages.map(({ role, content }) => [role, content]);
print({ messages, error: chat.error?.message ?? null, isLoading: chat.isLoading, shown: shown.size });
process.exit();

// A chat of ai@5, 6 or 7 over its TextStreamChatTransport: MAJOR URL KEY TURNS. Sends the turns one after
// another, then asks for the last answer again; prints role and text of the messages, and the error.
import { print, told } from "./lib.mjs";

const [major, api, key, turns] = told();
const { AbstractChat, TextStreamChatTransport } = await import(`ai${major}`);

class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => this.messages.push(message);
  popMessage = () => this.messages.pop();
  replaceMessage = (index, message) => (this.messages[index] = message);
  snapshot = (value) => structuredClone(value);
}

class Chat extends AbstractChat {}

const transport = new TextStreamChatTransport({ api, headers: { Authorization: `Bearer ${key}` } });
const state = new State();
const chat = new Chat({ id: "chat", state, transport });
for (const text of turns) await chat.sendMessage({ text });
if (!state.error) await chat.regenerate();
const messages = state.messages.map(({ role, parts }) => [role, parts.map(({ text = "" }) => text).join("")]);
print({ messages, error: state.error?.message ?? null, status: state.status });
process.exit();

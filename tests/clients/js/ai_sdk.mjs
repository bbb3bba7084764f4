// The AI SDK's chat, in a version from 5 on: MAJOR. Asked line by line what to do with its chats;
// answers each with what the chat shows then. A chat is made of {open: its options}.
import { createInterface } from "node:readline";

import { print, told } from "./lib.mjs";

const [major] = told();
const ai = await import(`ai${major}`);

class State {
  status = "ready";
  error = undefined;

  constructor(messages) {
    this.messages = messages;
  }

  pushMessage = (message) => (this.messages = [...this.messages, message]);
  popMessage = () => (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index, message) => (this.messages = this.messages.with(index, structuredClone(message)));
  snapshot = (value) => structuredClone(value);
}

class Chat extends ai.AbstractChat {
  constructor({ id, messages = [], ...options }) {
    const seen = { data: [], finished: [], errors: [] };
    super({
      id,
      transport: transportOf(options),
      state: new State(messages),
      onData: (part) => seen.data.push(part),
      onError: (error) => seen.errors.push(error.message),
      onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
        seen.finished.push({ isAbort, isDisconnect, isError, finishReason }),
    });
    this.seen = seen;
  }

  begin(call) {
    this.isOver = false;
    this.call = call.finally(() => (this.isOver = true));
  }

  get shown() {
    const { status, messages, error } = this;
    return { status, messages, error: error?.message ?? null, ...this.seen };
  }

  get text() {
    const { role, parts } = this.lastMessage ?? { parts: [] };
    return role === "assistant" ? parts.map((part) => (part.type === "text" ? part.text : "")).join("") : "";
  }
}

const sockets = new Map(); // Chats of one kind share a socket, as in an application.

function transportOf({ api, url, headers = {}, body, keepFrames }) {
  if (api) return new ai.DefaultChatTransport({ api, headers, body });
  const address = JSON.stringify([url, headers, keepFrames]);
  if (!sockets.has(address)) {
    class Socket extends WebSocket {
      constructor(to, protocols) {
        super(to, { protocols: protocols ?? [], headers });
        if (keepFrames) this.addEventListener("message", ({ data }) => frames.push(JSON.parse(data)));
      }
    }
    sockets.set(address, new ai.WebSocketChatTransport({ url, webSocket: Socket }));
  }
  return sockets.get(address);
}

const chats = new Map();
const frames = [];

const calls = {
  open: (_, options, name) => void chats.set(name, new Chat(options)),
  send: (chat, { text, body, messageId }) => chat.begin(chat.sendMessage({ text, messageId }, { body })),
  regenerate: (chat, { messageId, body }) => chat.begin(chat.regenerate({ messageId, body })),
  resume: (chat) => chat.begin(chat.resumeStream()),
  until: (chat, length) => when(() => chat.text.length >= length || chat.isOver),
  end: (chat) => chat.call,
  stop: (chat) => chat.stop(),
  // Without a chat:
  complete: (_, options) => complete(options),
  frames: () => frames.splice(0),
  hangUp: () => sockets.forEach((transport) => transport.close()),
};

// What becomes of a prompt that is to be completed; it is left after so many characters.
async function complete({ prompt, api, headers, body, streamProtocol, leave }) {
  const seen = { completion: "", error: null, status: 0 };
  let controller = null;
  await ai.callCompletionApi({
    api,
    prompt,
    headers,
    body,
    streamProtocol,
    fetch: async (...args) => {
      const response = await fetch(...args);
      seen.status = response.status;
      return response;
    },
    setCompletion: (text) => {
      seen.completion = text;
      if (leave && text.length >= leave) controller.abort();
    },
    setLoading: () => {},
    setError: (error) => (seen.error = error?.message ?? null),
    setAbortController: (made) => (controller = made ?? controller),
    onFinish: () => {},
  });
  return seen;
}

async function when(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

for await (const line of createInterface({ input: process.stdin })) {
  const { chat: name, ...rest } = JSON.parse(line);
  const [[call, value]] = Object.entries(rest);
  const found = await calls[call](chats.get(name), value, name);
  print(chats.get(name)?.shown ?? found ?? null);
}

// The AI SDK's chat as it was before version 5: API KEY, bodies as input. Prints what it made of each answer.
import { json } from "node:stream/consumers";

import { callChatApi } from "@ai-sdk/ui-utils";

import { print, told } from "./lib.mjs";

const [api, key] = told();

async function answer(body) {
  const seen = { message: null, data: [], error: null };
  try {
    await callChatApi({
      api,
      body,
      headers: { Authorization: `Bearer ${key}` },
      abortController: () => null,
      restoreMessagesOnFailure() {},
      onUpdate: ({ message, data }) => Object.assign(seen, { message, data: data ?? [] }),
      onFinish: (message, { finishReason, usage }) => Object.assign(seen, { message, finishReason, usage }),
      generateId: () => "own",
    });
  } catch (error) {
    seen.error = error.message;
  }
  return seen;
}

for (const seen of await Promise.all((await json(process.stdin)).map(answer))) print(seen);

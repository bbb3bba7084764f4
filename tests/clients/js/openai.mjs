// The official client: BASE_URL KEY OPTIONS, calls as input. Prints what became of each call, in order.
// A call is {list}, {retrieve: id} or {create: body, leave: after so many chunks}.
import { json } from "node:stream/consumers";

import OpenAI, { APIError } from "openai";

import { print, told } from "./lib.mjs";

const [baseURL, apiKey, options] = told();
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, ...options });

async function call({ list, retrieve, create, leave }, seen) {
  if (list) seen.value = (await client.models.list()).data;
  else if (retrieve) seen.value = await client.models.retrieve(retrieve);
  else if (!create.stream) seen.value = await client.chat.completions.create(create);
  else {
    seen.chunks = [];
    for await (const chunk of await client.chat.completions.create(create)) {
      seen.chunks.push(chunk);
      if (seen.chunks.length === leave) break;
    }
    seen.left = Date.now() / 1000;
  }
}

async function outcome(asked) {
  const seen = {};
  try {
    await call(asked, seen);
  } catch (error) {
    const { message, status, code, param, type, requestID } = error;
    seen.error = { class: error.constructor.name, message, status, code, param, type, requestID };
    seen.error.isAPIError = error instanceof APIError;
  }
  return seen;
}

for (const seen of await Promise.all((await json(process.stdin)).map(outcome))) print(seen);

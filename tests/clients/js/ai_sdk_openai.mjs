// The AI SDK with its provider for servers like OpenAI's: MAJOR BASE_URL KEY, models as input.
// Prints what came of each model's answer.
import { json } from "node:stream/consumers";

import { print, told } from "./lib.mjs";

const PROVIDERS = { 6: "openai-compatible-6", 7: "@ai-sdk/openai-compatible" };

const [major, baseURL, apiKey] = told();
const { streamText } = await import(`ai${major}`);
const { createOpenAICompatible } = await import(PROVIDERS[major]);
const provider = createOpenAICompatible({ name: "site", baseURL, apiKey, includeUsage: true });

async function answer(model) {
  const seen = { text: "", reasoning: "", error: null };
  const { fullStream } = streamText({
    model: provider(model),
    prompt: "Hello",
    maxRetries: 0,
    onError() {}, // It is told as a part too; by default it is also printed.
  });
  for await (const part of fullStream) {
    if (part.type === "text-delta") seen.text += part.text;
    else if (part.type === "reasoning-delta") seen.reasoning += part.text;
    else if (part.type === "error") seen.error = String(part.error?.message ?? part.error);
    else if (part.type === "finish") Object.assign(seen, { reason: part.finishReason, usage: part.totalUsage });
  }
  return seen;
}

for (const seen of await Promise.all((await json(process.stdin)).map(answer))) print(seen);

// The chat page of Burr without its page. Told an address, a key and prompts, it asks one after the
// other; else each line of input is the pieces of an answer in base64. What it has read is printed.
import { createInterface } from "node:readline";

import { print, told } from "./lib.mjs";

// As the page reads: each read is cut and parsed by itself, nothing is kept for the next.
async function read(reader) {
  const decoder = new TextDecoder("utf-8");
  const found = { history: null, answer: "", kinds: [] };
  while (true) {
    const result = await reader.read();
    if (result.done) return found;
    const message = decoder.decode(result.value, { stream: true });
    message
      .split("data: ")
      .slice(1)
      .forEach((item) => {
        const event = JSON.parse(item);
        found.kinds.push(event.type);
        if (event.type === "chat_history") found.history = event.value;
        if (event.type === "delta") found.answer += event.value;
      });
  }
}

async function ask(address, key, prompt) {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
    body: JSON.stringify({ prompt }),
  });
  return read(response.body.getReader());
}

const [address, key, prompts] = told();
if (address) {
  for (const prompt of prompts) print(await ask(address, key, prompt));
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const pieces = JSON.parse(line).map((piece) => Buffer.from(piece, "base64"));
    print(await read(ReadableStream.from(pieces).getReader()));
  }
}

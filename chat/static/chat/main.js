// Puts the parts of the chat page together and speaks the protocol of docs/protocol.md.

import { prepareAgain } from "./again.js";
import { Attachments } from "./attach.js";
import { fieldsOf, prepareChoice } from "./choice.js";
import { Connection } from "./connection.js";
import { Composer } from "./composer.js";
import { prepareDrawer } from "./drawer.js";
import { Keeping } from "./keeping.js";
import { addressOf, config, find, newId } from "./page.js";
import { Personas } from "./personas.js";
import { Picker } from "./picker.js";
import { Presence } from "./presence.js";
import { prepareProvenance } from "./provenance.js";
import { Queue } from "./queue.js";
import { prepareRatings, readRating } from "./rating.js";
import { prepareReach } from "./reach.js";
import { Search } from "./search.js";
import { Sidebar } from "./sidebar.js";
import { Socket } from "./socket.js";
import { Transcript } from "./transcript.js";
import { prepareTree } from "./tree.js";
import { explain } from "./words.js";

const LATE = 250; // How long news of another tab waits for an `accepted` of this one.
const AGAIN = 2000;

const socket = new Socket(config.socket);
const sidebar = new Sidebar();
const keeping = new Keeping(sidebar);
const presence = new Presence(sidebar);
const composer = new Composer();
const files = new Attachments(composer);
const transcript = new Transcript();
const queue = new Queue(composer);
const connection = new Connection();
const personas = new Personas((text) => composer.show(text));
const pending = new Map(); // By frame id: what was asked for and not yet answered.
let greeted = false;
let shown = location.pathname; // A popstate that only changes the fragment stays on the page.

// Asking --------------------------------------------------------------------

function ask(turn, frame) {
  const entry = { id: newId(), turn, frame };
  pending.set(entry.id, entry);
  flush();
}

/** Send what waits. A frame once sent is repeated as it was: the server knows it by its id. */
function flush() {
  for (const entry of pending.values()) {
    if (entry.sent) continue;
    // The prompts after a conversation's first must wait until it has an id.
    const first = [...pending.values()][0];
    const mayBegin = config.conversation || entry.frame.type !== "send" || entry === first;
    if (!mayBegin) break;
    if (entry.frame.type === "send" && entry.frame.conversation === undefined) {
      entry.frame.conversation = config.conversation;
      if (config.temporary && !config.conversation) entry.frame.temporary = true;
      if (!config.conversation) Object.assign(entry.frame, personas.fields);
    }
    entry.sent = socket.send({ ...entry.frame, id: entry.id });
    entry.turn.answer.phase = entry.sent ? "sending" : "waiting";
  }
}

function send({ text, attachments = [], ...choice }) {
  const frame = { type: "send", text, ...choice };
  if (attachments.length) frame.attachments = attachments;
  const turn = transcript.addTurn(text);
  files.show(turn.prompt, attachments);
  ask(turn, frame);
}

/** Have an answer given again, by whoever is chosen for it or for the conversation, or gone on from. */
function again({ article, choice = find("model").value, goesOn = false }) {
  const { message } = article.dataset;
  const turn = transcript.replaceAnswer(article, { goesOn });
  if (goesOn) ask(turn, { type: "continue", message });
  else ask(turn, { type: "regenerate", message, ...fieldsOf(choice) });
}

function edit({ article, text, parent }) {
  const { conversation } = config;
  const turn = transcript.replacePrompt(article, text);
  ask(turn, { type: "send", conversation, parent, text, ...fieldsOf(find("model").value) });
}

function accepted(frame) {
  const entry = pending.get(frame.id);
  if (!entry) return;
  pending.delete(frame.id);
  if (!config.conversation) enter(frame.conversation);
  transcript.accept(entry.turn, frame);
  if (frame.position) queue.read();
  if ("parent" in entry.frame) resync(); // It is one of several versions.
  flush();
}

/** The first prompt made a conversation: the page is now about it. */
function enter(id) {
  config.conversation = id;
  const address = addressOf.conversation(id);
  history.pushState(null, "", address);
  shown = address;
  composer.form.action = address;
  composer.drafts.keep();
  sidebar.mark(id);
  find("temporary").hidden = true;
  const more = find("topbar-more");
  if (!more) return;
  more.href = addressOf.options(id);
  more.dataset.conversation = id;
  more.hidden = false;
}

function refused(frame) {
  const entry = pending.get(frame.id);
  pending.delete(frame.id);
  const { turn, frame: asked } = entry;
  turn.answer.fail(explain(frame), () => {
    turn.prompt?.remove();
    turn.answer.article.remove();
    if (asked.type !== "send" || "parent" in asked) location.reload();
    else send({ text: asked.text, attachments: asked.attachments, ...fieldsOf(find("model").value) });
  });
  flush();
}

// Following -----------------------------------------------------------------

function follow(answer) {
  if (answer.generation) {
    socket.send({ type: "follow", generation: answer.generation, after: answer.cursor });
  }
}

function events({ generation, events: batch }) {
  const answer = transcript.answers.get(generation);
  if (answer && !answer.take(batch)) follow(answer);
  else if (answer) connection.resumed(answer);
}

function failed(frame) {
  if (pending.has(frame.id)) {
    refused(frame);
    return;
  }
  const answer = transcript.answers.get(frame.generation);
  if (!answer) composer.show(explain(frame));
  else if (frame.retryable) setTimeout(() => follow(answer), AGAIN);
  else answer.settle(); // Its events are gone, but its message is kept.
}

function stop() {
  const answer = transcript.running ?? transcript.active[0];
  if (!answer?.generation) return;
  answer.phase = "stopping";
  socket.send({ type: "stop", generation: answer.generation });
}

// Other tabs ----------------------------------------------------------------

function changed(frame) {
  sidebar.apply(frame);
  presence.apply(frame);
  if (frame.change === "created") keeping.undo.forget(frame.id);
  if (frame.id !== config.conversation) return;
  if (frame.change === "deleted") location.assign(config.home);
  if (frame.title && !config.temporary) {
    find("page-title").textContent = frame.title;
    document.title = frame.title;
  }
  if ("queue" in frame || "running" in frame) queue.read();
  if (frame.leaf) resync();
  if (frame.rated) readRating(frame.rated);
  if (frame.message) setTimeout(() => catchUpWith(frame.message), LATE);
}

function catchUpWith(message) {
  if (!transcript.knows(message) && !pending.size) resync();
}

async function resync() {
  try {
    const fresh = await transcript.resync();
    queue.read();
    if (fresh) sidebar.replaceBy(fresh.getElementById("listed"));
    presence.look();
  } catch {
    // The next reconnect tries again.
  }
}

// The connection ------------------------------------------------------------

function hello({ running }) {
  for (const entry of pending.values()) entry.sent = false;
  sidebar.setRunning(new Set(running.map((item) => item.conversation)));
  transcript.active.forEach(follow);
  flush();
  queue.read();
  if (greeted) resync();
  greeted = true;
}

const handlers = { hello, accepted, events, conversation: changed, error: failed };

socket.addEventListener("frame", ({ detail }) => handlers[detail.type]?.(detail));
socket.addEventListener("state", ({ detail }) => connection.show(detail, transcript.active));
transcript.addEventListener("follow", ({ detail }) => follow(detail));
transcript.addEventListener("unfollow", ({ detail }) => {
  socket.send({ type: "unfollow", generation: detail.generation });
});
transcript.addEventListener("again", ({ detail }) => again(detail));
transcript.addEventListener("edit", ({ detail }) => edit(detail));
transcript.addEventListener("stale", resync);
transcript.addEventListener("activity", () => composer.setRunning(transcript.active.length > 0));
composer.addEventListener("send", ({ detail: { model, ...sent } }) => send({ ...sent, ...fieldsOf(model) }));
composer.addEventListener("stop", stop);
queue.addEventListener("changed", ({ detail }) => {
  if (!transcript.arrange(detail)) transcript.resync().then(() => transcript.arrange(detail), () => {});
});
addEventListener("popstate", () => location.pathname !== shown && location.reload());
find("examples").addEventListener("click", (event) => {
  const example = event.target.closest("button");
  if (example) composer.fill(example.textContent);
});
composer.setRunning(transcript.active.length > 0);
new Search(sidebar);
prepareTree(transcript);
prepareRatings(transcript.list);
prepareProvenance(transcript.list);
prepareAgain(transcript);
new Picker(personas);
prepareDrawer();
prepareReach();
prepareChoice((text) => composer.show(text));
socket.connect();

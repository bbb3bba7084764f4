// Puts the server's rendering of an answer in the place of its preview, and keeps no frame waiting.
// What is the same in both stays as it is: laid out already, and with what is selected or focused in it.

import { equipCode, focusOn } from "./page.js";

const ELEMENTS = 400; // So many come in one frame: some milliseconds of style and layout.
const NO_FRAME_MS = 100; // A tab that has just been hidden gets no frames.

/** Take over the text, block by block. What was on the page before stays until its block is here. */
export async function takeText(article, theirs) {
  const [box, fresh] = [article, theirs].map((each) => each.querySelector(".answer"));
  box.className = fresh.className;
  // The element of the preview around the blocks that could still change.
  const tail = box.querySelector(":scope > .tail");
  if (tail) keepFocus(article, () => tail.replaceWith(...tail.childNodes));
  if (![box, fresh].every(hasOnlyBlocks)) {
    box.replaceChildren(...fresh.childNodes);
  } else {
    await takeBlocks(article, [...box.children], [...fresh.children], box);
  }
  equipCode(box);
}

/** Take over all but the text, at once. */
export function takeRest(article, theirs) {
  const [box, fresh] = [article, theirs].map((each) => each.querySelector(".answer"));
  for (const name of article.getAttributeNames()) {
    // Without its tabindex it would lose the focus that it may have.
    if (!theirs.hasAttribute(name) && name !== "tabindex") article.removeAttribute(name);
  }
  for (const { name, value } of theirs.attributes) article.setAttribute(name, value);
  theirs.querySelector(".reasoning").open = article.querySelector(".reasoning").open;
  const nodes = [...theirs.childNodes];
  const place = nodes.indexOf(fresh);
  keepFocus(article, () => {
    for (const node of [...article.childNodes]) if (node !== box) node.remove();
    box.before(...nodes.slice(0, place));
    box.after(...nodes.slice(place + 1));
  });
}

/** Replace what differs, the end of the answer first: it is what is looked at, most likely. */
async function takeBlocks(article, mine, theirs, box) {
  const differing = theirs.flatMap((block, i) => (mine[i] && !mine[i].isEqualNode(block) ? [i] : []));
  for (const block of mine.slice(theirs.length)) keepFocus(article, () => block.remove());
  box.append(...theirs.slice(mine.length));
  let room = ELEMENTS;
  for (const i of differing.reverse()) {
    const block = document.adoptNode(theirs[i]);
    room -= block.querySelectorAll("*").length + 1;
    if (room < 0 && !document.hidden) {
      await nextFrame();
      room = ELEMENTS;
    }
    equipCode(block);
    keepFocus(article, () => mine[i].replaceWith(block));
  }
  if (room < ELEMENTS && !document.hidden) await nextFrame();
}

function hasOnlyBlocks(box) {
  return [...box.childNodes].every((node) => node.nodeType === Node.ELEMENT_NODE || !node.data.trim());
}

/** What had the focus and is gone leaves it to the article. */
function keepFocus(article, change) {
  const focused = article.contains(document.activeElement);
  change();
  if (focused && !article.contains(document.activeElement)) focusOn(article);
}

function nextFrame() {
  return new Promise((resolve) => {
    setTimeout(resolve, NO_FRAME_MS);
    requestAnimationFrame(() => setTimeout(resolve)); // After it is drawn.
  });
}

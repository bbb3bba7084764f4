// Tells screen readers of an answer while it is written: by sentences, by paragraphs, at its end, or not.
// The region they listen to is apart from the text, and holds a piece for two seconds only.

import { announce, find } from "./page.js";
import { preferences } from "./preferences.js";
import { playReady } from "./sound.js";
import { gettext } from "./words.js";

const HELD_MS = 2000; // Less than one second is missed by some screen readers.
const FENCE = /^ {0,3}(```|~~~)/;
const ENDS = {
  sentence: /[.!?…][)"'”’\]*_]*\s+(?=\S)|[。！？]|\n\s*\n/,
  paragraph: /\n\s*\n/,
};

/** One answer's. */
export class Narrator {
  constructor() {
    this.text = "";
    this.fence = null; // The block of code that is open: it is told of, and not read out.
  }

  begin() {
    if (preferences.announce !== "off") announce(gettext("Assistant is answering"));
  }

  /** Take more text; what is a whole sentence or paragraph by now is told. */
  take(text) {
    if (!ENDS[preferences.announce]) return;
    this.text += text;
    for (let piece = this.#next(); piece !== null; piece = this.#next()) tell(piece);
  }

  /** The answer is complete: `shown` tells all of it, as it is on the page. */
  end(shown) {
    playReady();
    const mode = preferences.announce;
    if (mode === "end") announce(shown() || gettext("The answer ended."));
    else if (ENDS[mode]) tell(this.fence ? "" : this.text);
    this.text = "";
  }

  #next() {
    if (this.fence) return this.#skipCode();
    const line = /^.*\n/.exec(this.text);
    if (line && FENCE.test(line[0])) {
      [, this.fence] = FENCE.exec(line[0]);
      this.text = this.text.slice(line[0].length);
      return gettext("A block of code.");
    }
    // What may become the opening of a block of code waits for its line to end.
    if (FENCE.test(this.text)) return null;
    const end = ENDS[preferences.announce].exec(this.text);
    const code = this.text.search(/\n {0,3}(```|~~~)/);
    if (code >= 0 && (!end || code < end.index)) return this.#cut(code + 1);
    return end ? this.#cut(end.index + end[0].length) : null;
  }

  #skipCode() {
    const end = new RegExp(`(^|\\n) {0,3}${this.fence}\\s*\\n`).exec(this.text);
    if (!end) return null;
    this.fence = null;
    this.text = this.text.slice(end.index + end[0].length);
    return "";
  }

  #cut(length) {
    const piece = this.text.slice(0, length);
    this.text = this.text.slice(length);
    return piece;
  }
}

/** Put a piece where it is heard, beside those before it. */
function tell(markdown) {
  const text = withoutMarks(markdown);
  if (!text) return;
  const piece = document.createElement("p");
  piece.textContent = text;
  find("announcer").append(piece);
  setTimeout(() => piece.remove(), HELD_MS);
}

/** The words of Markdown, without its marks. */
export function withoutMarks(markdown) {
  return markdown
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\s*\|?[\s:|-]+\|?\s*$/gm, "")
    .replace(/^\s*(#{1,6}|>|[-*+]|\d+[.)])\s+/gm, "")
    .replace(/(\*\*|__|~~|`+|\*)/g, "")
    .replace(/\|/g, ", ")
    .replace(/\s+/g, " ")
    .trim();
}

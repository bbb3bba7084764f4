// The live preview of an answer: Markdown rendered block by block while it is written.
// Only the tail is lexed and drawn again; blocks that can no longer change stay as they are.
// What it shows is a preview: when the answer ends, the server's HTML takes its place.
import DOMPurify from "dompurify";
import { Marked, Parser } from "marked";
import remend from "remend";

const TAGS = [
  "p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "strong", "em", "s",
  "code", "pre", "span", "div", "a", "table", "thead", "tbody", "tr", "th", "td",
];
const ATTRIBUTES = [
  "href", "title", "target", "rel", "class", "start", "tabindex", "role", "aria-label", "scope",
];
const PURIFY = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ATTRIBUTES,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  // The expression is for addresses; without this it is applied to these as well.
  ADD_URI_SAFE_ATTR: ["target", "rel", "start", "tabindex", "aria-label", "scope"],
};
const SAFE_LINK = /^(?:https?:\/\/|mailto:)/i;
// The server recognises bare addresses by the same expression (chat/markdown.py).
const BARE_LINK = /^https?:\/\/(?:[^\s<>"'`*[\]{}|\\^()]|\([^\s<>()]*\))+(?<![.,:;!?_~])/;
const LANGUAGE = /^[\w+#.-]{1,30}$/;
const REPAIR = { linkMode: "text-only", images: false, katex: false, inlineKatex: false };

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (character) => ESCAPES[character]);

function openLink(address, kind = "") {
  let host = address;
  try {
    host = new URL(address).hostname || address;
  } catch {
    // Shown as it is.
  }
  const css = kind ? ` class="${kind}"` : "";
  return (
    `<a href="${escape(address)}" title="${escape(host.slice(0, 200))}"${css}` +
    ' target="_blank" rel="noopener noreferrer nofollow">'
  );
}

const renderer = {
  html: ({ text }) => escape(text),
  heading({ tokens, depth }) {
    const level = Math.min(depth + 2, 6);
    return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
  },
  code({ text, lang }) {
    const name = (lang || "").trim().split(/\s+/, 1)[0];
    const language = LANGUAGE.test(name) ? escape(name) : "";
    return (
      `<div class="code"><div class="code-head"><span class="code-language">${language}</span>` +
      `</div><pre tabindex="0"><code>${escape(text)}\n</code></pre></div>\n`
    );
  },
  link({ href, tokens, raw }) {
    if (!SAFE_LINK.test(href)) return escape(raw);
    return `${openLink(href)}${this.parser.parseInline(tokens)}</a>`;
  },
  // Fetching a picture unasked would tell its server what was read.
  image({ href, text, raw }) {
    if (!SAFE_LINK.test(href)) return escape(raw);
    return `${openLink(href, "image-link")}${escape(text || href)}</a>`;
  },
  table({ header, rows }) {
    const cell = (tag) => (part) => {
      const css = part.align ? ` class="align-${part.align}"` : "";
      const scope = tag === "th" ? ' scope="col"' : "";
      return `<${tag}${scope}${css}>${this.parser.parseInline(part.tokens)}</${tag}>`;
    };
    const row = (cells, tag) => `<tr>${cells.map(cell(tag)).join("")}</tr>`;
    return (
      '<div class="table-scroll" tabindex="0" role="region" aria-label="Table"><table>' +
      `<thead>${row(header, "th")}</thead><tbody>` +
      `${rows.map((cells) => row(cells, "td")).join("")}</tbody></table></div>\n`
    );
  },
  del({ tokens }) {
    return `<s>${this.parser.parseInline(tokens)}</s>`;
  },
  checkbox: ({ checked }) => (checked ? "[x] " : "[ ] "),
};

const tokenizer = {
  url(source) {
    const match = BARE_LINK.exec(source);
    if (!match) return undefined;
    const [text] = match;
    return {
      type: "link", raw: text, text, href: text, tokens: [{ type: "text", raw: text, text }],
    };
  },
};

// The server finds formulas by the same expressions (chat/mathematics.py); here they are shown
// as their source. One that is still open at the end of the text is taken for a formula already.
const INLINE_MATH = [
  /^\$\$((?:\\[\s\S]|[^$\\]){1,2000})\$\$/,
  /^\$(?![\s$])((?:\\.|[^$\\\n]){1,1000})(?<!\s)\$(?![\p{L}\p{N}_$])/u,
  /^\\\(((?:(?!\\[()])[\s\S]){1,1000})\\\)/,
  /^\\\[((?:(?!\\[[\]])[\s\S]){1,2000})\\\]/,
];
const BLOCK_MATH = /^ {0,3}(?:\$\$((?:\\[\s\S]|(?!\n[ \t]*\n)[^$\\]){1,2000})(?:\$\$[ \t]*(?:\n|$)|\$?$)|\\\[((?:(?!\\[[\]]|\n[ \t]*\n)[\s\S]){1,2000})(?:\\\][ \t]*(?:\n|$)|$))/;
const PRICE = /^\d[\d.,]*\s+\p{L}{2}/u;
const MATH_START = /(?<![\p{L}\p{N}])\$|\\[([]/u;

const source = (text) => `<code class="math-source">${escape(text)}</code>`;

const inlineMath = {
  name: "math",
  level: "inline",
  start: (text) => MATH_START.exec(text)?.index,
  tokenizer(text) {
    if (text[0] !== "$" && text[0] !== "\\") return undefined;
    for (const form of INLINE_MATH) {
      const match = form.exec(text);
      if (!match?.[1].trim()) continue;
      if (text[1] !== "$" && text[0] === "$" && PRICE.test(match[1])) return undefined;
      return { type: "math", raw: match[0] };
    }
    return undefined;
  },
  renderer: ({ raw }) => source(raw),
};

const blockMath = {
  name: "math_block",
  level: "block",
  tokenizer(text) {
    const match = BLOCK_MATH.exec(text);
    return (match?.[1] ?? match?.[2])?.trim() ? { type: "math_block", raw: match[0] } : undefined;
  },
  renderer: ({ raw }) => `<p>${source(raw.trim())}</p>\n`,
};

const marked = new Marked({ gfm: true, breaks: true, renderer, tokenizer });
marked.use({ extensions: [inlineMath, blockMath] });

function lex(text, links) {
  const lexer = new marked.Lexer(marked.defaults);
  Object.assign(lexer.tokens.links, links);
  return lexer.lex(text);
}

function toFragment(tokens) {
  const html = Parser.parse(tokens, marked.defaults);
  const template = document.createElement("template");
  template.innerHTML = DOMPurify.sanitize(html, PURIFY);
  return template.content;
}

/** Draws one answer into an element that nothing else writes to. */
export class LiveMarkdown {
  constructor(container) {
    this.container = container;
    this.tail = document.createElement("div");
    this.tail.className = "tail";
    container.replaceChildren(this.tail);
    this.pending = ""; // Text after the last finished block.
    this.links = Object.create(null); // Definitions of reference links, wherever they stood.
    this.code = null; // The text node of a code block that is still open.
    this.carry = "";
  }

  /** Take more text. Nothing is drawn until paint(). */
  append(text) {
    text = this.carry + text;
    // A carriage return at the end may be the first half of a line end.
    this.carry = text.endsWith("\r") ? "\r" : "";
    if (this.carry) text = text.slice(0, -1);
    this.pending += text.replace(/\r\n?/g, "\n");
  }

  /** Draw what came since the last call. */
  paint() {
    if (this.#extendCode()) return;
    const tokens = lex(this.pending, this.links);
    Object.assign(this.links, tokens.links);
    const finished = tokens.slice(0, Math.max(0, tokens.length - 2));
    if (finished.length) {
      finished.links = tokens.links;
      this.tail.before(toFragment(finished));
      const length = finished.reduce((sum, token) => sum + token.raw.length, 0);
      this.pending = this.pending.slice(length);
    }
    this.#paintTail(tokens.slice(finished.length));
  }

  /** Draw the end of the text as it is, without repairing what is unfinished. */
  finish() {
    this.append("");
    this.pending += this.carry ? "\n" : "";
    this.code = null;
    this.tail.replaceChildren(toFragment(lex(this.pending, this.links)));
  }

  #paintTail(tokens) {
    const last = tokens.at(-1);
    const open = last?.type === "code" && /^ {0,3}(`{3,}|~{3,})/.exec(last.raw);
    // An open formula is whole already, and what would be repaired in it is no Markdown.
    const whole = open || last?.type === "math_block";
    const repaired = whole ? tokens : lex(remend(this.pending, REPAIR), this.links);
    this.tail.replaceChildren(toFragment(repaired));
    this.code = null;
    if (open && !closes(last.raw, open[1])) this.#keepCode(open[1]);
  }

  // A long block of code is the commonest long tail: its text grows in place,
  // because drawing all of it for each new line would grow with its square.
  #keepCode(fence) {
    const blocks = this.tail.querySelectorAll("pre > code");
    const node = blocks[blocks.length - 1]?.firstChild;
    const start = this.pending.lastIndexOf("\n") + 1;
    if (!node || this.pending.length < 400) return;
    node.data = node.data.replace(/\n$/, "");
    this.code = { node, fence, length: this.pending.length, line: start };
  }

  #extendCode() {
    if (!this.code) return false;
    const { node, fence, length, line } = this.code;
    // The last line drawn may go on, and so may become the closing fence.
    if (this.pending.slice(line).split("\n").some((text) => isFence(text, fence))) return false;
    node.appendData(this.pending.slice(length));
    this.code.length = this.pending.length;
    this.code.line = this.pending.lastIndexOf("\n") + 1;
    return true;
  }
}

function isFence(line, fence) {
  const text = line.trim();
  return text.length > 0 && text[0] === fence[0] && [...text].every((c) => c === fence[0]);
}

function closes(raw, fence) {
  const lines = raw.trimEnd().split("\n");
  return lines.length > 1 && isFence(lines.at(-1), fence);
}

/** Draw a whole text at once. */
export function renderWhole(container, text) {
  const live = new LiveMarkdown(container);
  live.append(text);
  live.finish();
}

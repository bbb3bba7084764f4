// The words that scripts say, in the language of the page. The names are those that
// `makemessages` looks for; the page carries the translations as JSON, and English needs none.

const catalog = JSON.parse(document.getElementById("words")?.textContent ?? "{}");

export function gettext(text) {
  const found = catalog[text];
  return (Array.isArray(found) ? found[0] : found) ?? text;
}

/** What an error means, in the language of the page: of its message, or else of its code. */
export function explain({ code, message }) {
  return catalog[message] ?? catalog[`error:${code}`] ?? message;
}

/** The form for a count. Both languages shipped have two forms: for one, and for the rest. */
export function ngettext(one, many, count) {
  return catalog[one]?.[count === 1 ? 0 : 1] ?? (count === 1 ? one : many);
}

/** Fill `%(name)s` from an object. */
export function interpolate(text, values) {
  return text.replaceAll(/%\((\w+)\)s/g, (_, name) => String(values[name]));
}

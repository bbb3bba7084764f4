// Text that is copied from messages.

import { addressOf, announce, copyText, get } from "./page.js";
import { gettext } from "./words.js";

/** Copy what a button belongs to, and show that it worked. */
export async function copyFrom(button) {
  const article = button.closest("article");
  let text;
  if (button.dataset.action === "copy-code") {
    text = button.closest(".code").querySelector("code").textContent;
  } else if (article.classList.contains("user")) {
    text = article.querySelector(".bubble").textContent;
  } else {
    text = await get(`${addressOf.message(article.dataset.message)}?as=text`);
  }
  await copyText(text);
  button.classList.add("did");
  announce(gettext("Copied"));
  setTimeout(() => button.classList.remove("did"), 1500);
}

// Where an answer came from, in a drawer: its page, a part of which the server gives by itself.

import { find, get, parse } from "./page.js";
import { toast } from "./toasts.js";
import { gettext } from "./words.js";

export function prepareProvenance(list) {
  const dialog = find("about-dialog");
  let opener = null;
  list.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-action=about]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const fresh = parse(await get(`${link.href}?as=part`));
      find("about-part").replaceChildren(document.adoptNode(fresh.querySelector(".about")));
    } catch {
      toast(gettext("That did not work. Try again."), { kind: "failed" });
      return;
    }
    opener = link;
    if (!dialog.open) dialog.showModal();
    find("about-part").scrollTop = 0;
  });
  dialog.addEventListener("click", (event) => {
    // On the ground behind it, or on its button.
    if (event.target === dialog || event.target.closest("[data-do=close]")) dialog.close();
  });
  dialog.addEventListener("close", () => {
    // The answer may have been rendered anew meanwhile.
    const again = opener.isConnected ? opener : list.querySelector(`[href="${opener.getAttribute("href")}"]`);
    again?.focus({ preventScroll: true });
  });
}

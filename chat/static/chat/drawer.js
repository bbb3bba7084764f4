// On narrow screens the list of conversations is a drawer.

import { around, find } from "./page.js";

export const isNarrow = () => getComputedStyle(find("open-sidebar")).display !== "none";

export function showDrawer(shown, focused = shown ? find("close-sidebar") : find("open-sidebar")) {
  around.classList.toggle("sidebar-open", shown);
  find("content").inert = shown;
  focused?.focus({ preventScroll: true });
}

export const isDrawerOpen = () => around.classList.contains("sidebar-open");

export function prepareDrawer() {
  const on = (id, shown) => find(id).addEventListener("click", (event) => {
    event.preventDefault();
    showDrawer(shown);
  });
  on("open-sidebar", true);
  on("close-sidebar", false);
  on("scrim", false);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !isDrawerOpen()) return;
    // What is open above the drawer, or being typed in it, closes first.
    if (document.querySelector("dialog[open], :popover-open") || event.target.matches("input")) return;
    event.preventDefault();
    showDrawer(false);
  }, { capture: true });
}

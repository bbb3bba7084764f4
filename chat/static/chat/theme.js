// Loaded before the first paint, and not as a module, so that a page never flashes in the other colours.
(() => {
  const key = "theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // Storage may be forbidden.
    }
  }

  function apply() {
    const choice = stored();
    // The admin keeps its own choice under the same name, with "auto" for that of the system.
    const dark = choice === "dark" || (choice !== "light" && system.matches);
    root.dataset.theme = dark ? "dark" : "light";
  }

  function toggle() {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      // What the system says anyway is not worth remembering: the page then follows it again.
      if ((next === "dark") === system.matches) localStorage.removeItem(key);
      else localStorage.setItem(key, next);
    } catch {
      // It then lasts as long as the page.
    }
    root.dataset.theme = next;
  }

  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === key && apply());
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", toggle);
  });
})();

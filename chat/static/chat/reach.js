// What every key does on the chat page, and the dialogs of settings and of keys.

import { showDrawer, isDrawerOpen, isNarrow } from "./drawer.js";
import { announce, config, find, isFramed } from "./page.js";
import { preferences, PreferencesDialog } from "./preferences.js";
import { register, Shortcuts } from "./shortcuts.js";
import { gettext } from "./words.js";

export function prepareReach() {
  const settings = new PreferencesDialog();
  register("Mod+Shift+O", gettext("new chat"), () => location.assign(config.home));
  if (!isFramed) registerForList();
  register("Shift+Escape", gettext("go to the message field"), () => find("prompt").focus());
  const byEnter = () => !preferences.ctrl_enter;
  const byCtrlEnter = () => preferences.ctrl_enter;
  register("Enter", gettext("send"), null, byEnter);
  register("Shift+Enter", gettext("a new line"), null, byEnter);
  register("Mod+Enter", gettext("send"), null, byCtrlEnter);
  register("Enter", gettext("a new line"), null, byCtrlEnter);
  register("Escape", gettext("stop the answer"));
  register("Mod+Shift+C", gettext("copy the last answer"), () => press(".assistant [data-action=copy]"));
  register("Mod+Shift+X", gettext("copy the last block of code"), () => press("[data-action=copy-code]"));
  register("Alt+ArrowUp", gettext("previous message"), () => go(-1));
  register("Alt+ArrowDown", gettext("next message"), () => go(1));
  register("Mod+.", gettext("settings"), () => settings.open());
  register("Mod+Z", gettext("take back what was deleted or archived"));
  const shortcuts = new Shortcuts();
  settings.addEventListener("shortcuts", () => shortcuts.open());
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-action=switch-model]")) chooseModel();
  });
}

/** What leads to other conversations; a frame shows one, and pages that are not for a frame refuse to be in it. */
function registerForList() {
  const temporary = find("temporary");
  register("Mod+K", gettext("search the conversations"));
  register("Mod+Shift+S", gettext("show or hide the list of conversations"), toggleSidebar);
  register("Mod+Shift+Y", gettext("temporary chat"), () => location.assign(temporary?.href ?? `${config.home}?temporary=1`));
  register("F2", gettext("rename the conversation, in the list"));
}

/** Press the last of these buttons, as a hand would. */
function press(selector) {
  const button = [...find("transcript").querySelectorAll(selector)].at(-1);
  if (button) button.click();
  else announce(gettext("There is nothing to copy."));
}

/** Go to the message before or after the one that has the focus; from elsewhere, to the last one. */
function go(step) {
  const all = [...find("transcript").querySelectorAll(".message")];
  const here = all.indexOf(document.activeElement?.closest(".message"));
  const next = all[here < 0 ? all.length - 1 : here + step];
  if (!next) return;
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest", behavior: "instant" });
}

function toggleSidebar() {
  if (isNarrow()) showDrawer(!isDrawerOpen());
  else document.body.classList.toggle("sidebar-hidden");
}

function chooseModel() {
  find("picker-button").click();
}

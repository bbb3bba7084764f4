// The state of the connection: a quiet dot at once, words only when it lasts.

import { config, find } from "./page.js";
import { gettext } from "./words.js";

const LASTS_MS = 4000; // Shorter troubles are nobody's business.
const SHOWN_MS = 4000;

export class Connection {
  constructor() {
    this.line = find("connection");
    this.dot = find("connection-dot");
    this.banner = find("offline");
    this.lost = new Set(); // Answers that were being written when the connection went.
    this.greeted = false;
  }

  /** Show a state of the socket; `running` are the answers that it was to bring. */
  show(state, running) {
    this.state = state;
    clearTimeout(this.clearing);
    this.line.dataset.state = state;
    this.dot.hidden = false;
    this.dot.dataset.state = state;
    this.dot.setAttribute("aria-label", this.#name(state));
    this.dot.title = this.#name(state);
    if (state === "online") this.#isBack();
    else if (state === "signed-out") this.#askToSignIn();
    else this.#isAway(running);
  }

  /** What was lost on the way to an answer has come: nothing is missing. */
  resumed(answer) {
    if (!this.lost.delete(answer) || this.lost.size) return;
    this.#say(gettext("Resumed, nothing lost"));
    this.#clearSoon();
  }

  #name(state) {
    return {
      online: gettext("Connected"),
      connecting: gettext("Reconnecting…"),
      offline: gettext("You are offline"),
      "signed-out": gettext("You are signed out."),
    }[state];
  }

  #isAway(running) {
    if (!this.greeted) return;
    for (const answer of running) this.lost.add(answer);
    this.waiting ??= setTimeout(() => this.#tellTrouble(), LASTS_MS);
    // That the network is gone is no flicker: it is said at once, the banner comes if it lasts.
    if (this.isTold) this.#tellTrouble();
    else if (this.state === "offline") this.#say(this.#name("offline"));
  }

  #tellTrouble() {
    this.isTold = true;
    this.#say(this.#name(this.state));
    this.banner.firstElementChild.textContent = this.state === "offline"
      ? gettext("You are offline. Answers go on without you, and what you send waits until you are back.")
      : gettext("The server cannot be reached. What you send waits until it can.");
    this.banner.hidden = false;
  }

  #isBack() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.banner.hidden = true;
    this.greeted = true;
    if (this.isTold) this.#say(gettext("Connected again"));
    this.isTold = false;
    this.#clearSoon();
  }

  #askToSignIn() {
    clearTimeout(this.waiting);
    this.banner.hidden = true;
    const link = document.createElement("a");
    link.href = `${config.login}?next=${encodeURIComponent(location.pathname)}`;
    link.textContent = gettext("Sign in");
    this.line.replaceChildren(`${gettext("You are signed out.")} `, link);
  }

  #say(text) {
    // The same words again would be told again.
    if (this.line.textContent !== text) this.line.textContent = text;
  }

  #clearSoon() {
    clearTimeout(this.clearing);
    this.clearing = setTimeout(() => this.line.replaceChildren(), SHOWN_MS);
  }
}

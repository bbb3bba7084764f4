// One WebSocket that stays connected. It says what happens by events and keeps no chat state.

const QUIET_MS = 45_000; // Without a byte for so long, the connection is taken for dead.
const PING_MS = 20_000;
const ANSWER_MS = 5_000; // How long a forced check waits for its pong.
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 15_000;
const SIGNED_OUT = [4401, 4403];

/**
 * Events: "open", "frame" (detail: the frame), "state" (detail: "online",
 * "connecting", "offline" or "signed-out").
 */
export class Socket extends EventTarget {
  constructor(path) {
    super();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.address = `${scheme}//${location.host}${path}`;
    this.attempts = 0;
    this.lastByte = 0;
    addEventListener("online", () => this.check());
    addEventListener("offline", () => this.check());
    addEventListener("pageshow", () => this.check());
    document.addEventListener("resume", () => this.check());
    addEventListener("pagehide", () => this.socket?.close());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.check();
    });
    setInterval(() => this.#tick(), PING_MS);
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.signedOut) return;
    this.#state("connecting");
    const socket = new WebSocket(this.address);
    this.socket = socket;
    this.lastByte = Date.now();
    // An old socket may still speak when a new one has taken its place.
    const mine = (handler) => (event) => socket === this.socket && handler(event);
    socket.onmessage = mine((event) => this.#received(event.data));
    socket.onclose = mine((event) => this.#closed(event.code));
  }

  /** Send a frame if connected; say whether it was. */
  send(frame) {
    if (!this.isOpen) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** Find out now whether the connection lives, and replace it if not. */
  check() {
    if (this.signedOut) return;
    if (!this.isOpen) {
      if (this.socket?.readyState !== WebSocket.CONNECTING) this.#retry(0);
      return;
    }
    // After a sleep nothing may be left of it: not worth a question.
    if (Date.now() - this.lastByte > QUIET_MS) {
      this.#drop(0);
      return;
    }
    const asked = Date.now();
    this.send({ type: "ping" });
    setTimeout(() => {
      if (this.isOpen && this.lastByte < asked) this.#drop();
    }, ANSWER_MS);
  }

  #tick() {
    if (this.signedOut || !this.socket) return;
    if (this.timer) return;
    if (Date.now() - this.lastByte > QUIET_MS) this.#drop();
    else this.send({ type: "ping" });
  }

  #received(data) {
    this.lastByte = Date.now();
    const frame = JSON.parse(data);
    if (frame.type === "pong") return;
    if (frame.type === "hello") {
      this.attempts = 0;
      this.#state("online");
    }
    this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
  }

  #drop(wait) {
    const dead = this.socket;
    this.socket = null;
    dead?.close();
    this.#retry(wait);
  }

  #closed(code) {
    this.socket = null;
    if (SIGNED_OUT.includes(code)) {
      this.signedOut = true;
      this.#state("signed-out");
    } else {
      this.#retry();
    }
  }

  #retry(wait) {
    clearTimeout(this.timer);
    // Jitter, so that the readers of a restarted server do not all come back at once.
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.attempts);
    wait ??= longest * (0.5 + Math.random() / 2);
    this.attempts += 1;
    this.#state(navigator.onLine ? "connecting" : "offline");
    this.timer = setTimeout(() => this.connect(), wait);
  }

  #state(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}

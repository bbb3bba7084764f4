// Files beside the prompt: chosen, dropped or pasted, uploaded at once, and named when it is sent.

import { announce, config, find, fromTemplate, keptAs } from "./page.js";
import { toast } from "./toasts.js";
import { gettext, interpolate } from "./words.js";

const LONG_PASTE = 4000; // Characters; a longer text would bury what is being asked.
const PREFIX = "files:";
const NIL = "00000000-0000-0000-0000-000000000000";
const IMAGE = /^image\//;

export class Attachments {
  constructor(composer) {
    this.composer = composer;
    this.list = find("staged");
    this.input = find("attach-input");
    this.staged = []; // In the order of the page: {row, name, kind, id once uploaded, request while not}.
    this.known = new Map(); // What was sent from here, by id.
    composer.files = this;
    const button = find("attach");
    button.hidden = false;
    button.addEventListener("click", () => this.input.click());
    this.input.addEventListener("change", () => {
      this.#add([...this.input.files]);
      this.input.value = "";
    });
    this.list.addEventListener("click", (event) => this.#clicked(event));
    composer.area.addEventListener("paste", (event) => this.#paste(event));
    this.#listenForDrops();
    this.#restore();
  }

  /** Whether the prompt cannot go yet; it is said why. */
  holds() {
    const image = this.staged.find((item) => item.kind === "image");
    const picker = this.composer.form.model;
    if (this.staged.some((item) => !item.id)) {
      this.composer.show(gettext("A file is still being uploaded. Send when it is there, or remove it."));
    } else if (image && !config.attach.image_models.includes(nameOf(picker))) {
      const values = { name: image.name, model: picker.selectedOptions[0].textContent };
      const words = gettext("%(name)s: %(model)s takes no images. Choose another model, or remove the image.");
      this.composer.show(interpolate(words, values));
    } else {
      return false;
    }
    return true;
  }

  /** Return the ids of what goes with the prompt; from now on it belongs to that. */
  take() {
    const ids = this.staged.map((item) => item.id);
    for (const { id, name, kind } of this.staged) this.known.set(id, { id, name, kind });
    this.staged = [];
    this.list.replaceChildren();
    this.#changed();
    return ids;
  }

  /** Show the files of a prompt that was sent from here. */
  show(article, ids) {
    const files = ids.map((id) => this.known.get(id)).filter(Boolean);
    if (!files.length) return;
    const list = fromTemplate("files-template");
    list.replaceChildren(...files.map(sentRow));
    article.querySelector(".bubble").before(list);
  }

  #add(files) {
    this.composer.error.hidden = true;
    const wrong = [];
    for (const file of files) {
      const limit = IMAGE.test(file.type) ? config.attach.image_bytes : config.attach.text_bytes;
      if (this.staged.length >= config.attach.most) {
        wrong.push(interpolate(gettext("%(name)s: a message has at most %(most)s files."), { name: file.name, most: config.attach.most }));
      } else if (file.size > limit) {
        const values = { name: file.name, size: sizeOf(file.size), limit: sizeOf(limit) };
        wrong.push(interpolate(gettext("%(name)s: it has %(size)s; at most %(limit)s are taken."), values));
      } else {
        this.#upload(file);
      }
    }
    if (wrong.length) this.composer.show(wrong.join("\n"));
    this.composer.area.focus();
  }

  #upload(file) {
    const kind = IMAGE.test(file.type) ? "image" : "text";
    const item = this.#stage({ name: file.name, size: file.size, kind });
    const picture = kind === "image" && URL.createObjectURL(file);
    const bar = item.row.querySelector("progress");
    const body = new FormData();
    body.append("file", file);
    const request = new XMLHttpRequest(); // It tells how far an upload is; fetch does not.
    item.request = request;
    request.upload.addEventListener("progress", ({ loaded, total }) => (bar.value = loaded / total));
    request.addEventListener("loadend", () => {
      if (picture) URL.revokeObjectURL(picture);
      if (!this.staged.includes(item)) return;
      this.#uploaded(item, request);
    });
    bar.hidden = false;
    request.open("POST", `${config.api}attachments/`);
    request.responseType = "json";
    request.setRequestHeader("X-CSRFToken", document.querySelector("input[name=csrfmiddlewaretoken]").value);
    request.send(body);
    return item;
  }

  #uploaded(item, request) {
    item.request = null;
    item.row.querySelector("progress").hidden = true;
    const answer = request.response;
    if (request.status !== 201 || !answer?.id) {
      this.#drop(item);
      const failed = interpolate(gettext("%(name)s: it could not be uploaded. Try again."), item);
      this.composer.show(answer?.error?.message ?? failed);
      return;
    }
    Object.assign(item, { id: answer.id, name: answer.name, kind: answer.kind });
    picture(item.row, item);
    announce(interpolate(gettext("%(name)s is attached."), item));
    this.#keep();
  }

  #stage(file) {
    const row = fromTemplate("staged-template");
    row.querySelector(".file-name").textContent = file.name;
    row.querySelector(".file-size").textContent = file.size ? sizeOf(file.size) : "";
    row.querySelector("button").setAttribute("aria-label", interpolate(gettext("Remove %(name)s"), file));
    const item = { ...file, row };
    this.staged.push(item);
    this.list.append(row);
    this.#changed();
    return item;
  }

  #clicked(event) {
    const item = event.target.closest("button") && this.staged.find(({ row }) => row.contains(event.target));
    if (!item) return;
    this.#remove(item);
    this.composer.area.focus();
  }

  #remove(item) {
    this.#drop(item);
    item.request?.abort();
    if (!item.id) return;
    const headers = { "X-CSRFToken": document.querySelector("input[name=csrfmiddlewaretoken]").value };
    // What is not deleted now is pruned a day later.
    fetch(addressOf(item.id), { method: "DELETE", headers, credentials: "same-origin" }).catch(() => {});
  }

  #drop(item) {
    this.staged = this.staged.filter((each) => each !== item);
    item.row.remove();
    this.#changed();
  }

  #paste(event) {
    const { files } = event.clipboardData;
    const text = event.clipboardData.getData("text/plain");
    if (files.length && !text) {
      event.preventDefault();
      this.#add([...files]);
    } else if (text.length > LONG_PASTE) {
      event.preventDefault();
      const item = this.#upload(new File([text], gettext("pasted.txt"), { type: "text/plain" }));
      toast(gettext("The long text was attached as a file."), {
        action: gettext("Put it into the message"),
        act: () => {
          this.#remove(item);
          this.composer.area.focus();
          this.composer.area.setRangeText(text, this.composer.area.selectionStart, this.composer.area.selectionEnd, "end");
          this.composer.area.dispatchEvent(new Event("input", { bubbles: true }));
        },
      });
    }
  }

  #listenForDrops() {
    const zone = find("drop-zone");
    const brings = (event) => event.dataTransfer?.types.includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!brings(event)) return;
      event.preventDefault(); // Else the browser would leave the page for the file.
      zone.hidden = false;
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) zone.hidden = true;
    });
    document.addEventListener("drop", (event) => {
      zone.hidden = true;
      if (!brings(event)) return;
      event.preventDefault();
      this.#add([...event.dataTransfer.files]);
    });
  }

  #changed() {
    this.list.hidden = !this.staged.length;
    this.#keep();
  }

  get #key() {
    return keptAs(PREFIX);
  }

  #keep() {
    const there = this.staged.filter((item) => item.id).map(({ id, name, kind, size }) => ({ id, name, kind, size }));
    try {
      if (there.length) sessionStorage.setItem(this.#key, JSON.stringify(there));
      else sessionStorage.removeItem(this.#key);
    } catch {
      // Storage may be forbidden or full; the files are still on the page.
    }
  }

  #restore() {
    let kept;
    try {
      kept = JSON.parse(sessionStorage.getItem(this.#key)) ?? [];
    } catch {
      return;
    }
    for (const file of kept) picture(this.#stage(file).row, file);
  }
}

/** The model that a picker stands on, which may have no value there. */
function nameOf(picker) {
  return picker.selectedOptions[0].dataset.name ?? picker.value;
}

function addressOf(id) {
  return config.attach.address.replace(NIL, id);
}

function sentRow(file) {
  const row = fromTemplate("file-template");
  row.querySelector("a").href = addressOf(file.id);
  row.querySelector(".file-name").textContent = file.name;
  picture(row, file);
  return row;
}

/** Show an image in the place of the sign for a file. */
function picture(row, { id, kind }) {
  if (kind !== "image") return;
  const image = document.createElement("img");
  image.src = addressOf(id);
  image.alt = "";
  row.querySelector(".icon")?.replaceWith(image);
}

function sizeOf(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1_048_576 ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / 1_048_576).toFixed(1)} MB`;
}

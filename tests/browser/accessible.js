// Returns one sentence for each fault: what axe would say of contrast, names, ids, roles and sizes.
() => {
  const faults = [];
  const shown = (el) => el.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const path = (el) => `${el.tagName.toLowerCase()}.${el.getAttribute("class") ?? ""} “${
    el.textContent.trim().slice(0, 30)}”`;

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.map((c, i) => i === 3 ? 1 : c * top[3] + below[i] * (1 - top[3]));
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const ground = (el) => {
    const layers = [];
    for (let up = el; up; up = up.parentElement) layers.push(rgba(getComputedStyle(up).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const groundOf = (el) => {
    const frame = el.closest("g")?.querySelector(".node-frame, .edge-ground");
    return frame ? rgba(getComputedStyle(frame).fill) : ground(el.closest("svg") ?? el);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const el = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(el) || el.closest(".visually-hidden, title, desc")) continue;
    const style = getComputedStyle(el);
    const isSvg = el instanceof SVGElement;
    const below = groundOf(el);
    const ratio = contrast(over(rgba(isSvg ? style.fill : style.color), below), below);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${path(el)}`);
  }

  const ids = [...document.querySelectorAll("[id]")].map((el) => el.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`id twice: ${id}`);
  for (const name of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const el of document.querySelectorAll(`[${name}]`)) {
      for (const id of el.getAttribute(name).split(/\s+/)) {
        if (!document.getElementById(id)) faults.push(`${name} to nothing: ${id}`);
      }
    }
  }
  const nameOf = (el) => el.getAttribute("aria-label") || el.innerText?.trim() ||
    (el.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent).join("") ||
    [...(el.labels ?? [])].map((label) => label.textContent).join("").trim() || el.textContent.trim();
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, [role=tab], [role=region], [role=group], nav, svg[role=img]";
  for (const el of document.querySelectorAll(controls)) {
    if (shown(el) && !nameOf(el)) faults.push(`no name: ${path(el)}`);
  }
  for (const el of document.querySelectorAll("button, select, input[type=range], [role=tab]")) {
    const { width, height } = el.getBoundingClientRect();
    if (shown(el) && !el.classList.contains("visually-hidden") && Math.min(width, height) < 23.5) {
      faults.push(`small target ${width}×${height}: ${path(el)}`);
    }
  }
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    if (!shown(heading)) continue;
    const next = Number(heading.tagName[1]);
    if (next > level + 1) faults.push(`heading skips a level: ${path(heading)}`);
    level = next;
  }
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  if (!document.documentElement.lang) faults.push("no language");
  for (const table of document.querySelectorAll("table")) {
    if (!table.querySelector("th[scope=col]")) faults.push("a table without column headings");
  }
  for (const el of document.querySelectorAll("*")) {
    const { overflowX } = getComputedStyle(el);
    const scrolls = ["auto", "scroll"].includes(overflowX) && el.scrollWidth > el.clientWidth + 1;
    if (scrolls && shown(el) && el.tabIndex < 0 && !el.querySelector("a, button, [tabindex]")) {
      faults.push(`scrolls, but not by keys: ${path(el)}`);
    }
    if (el.tabIndex > 0) faults.push(`tabindex above 0: ${path(el)}`);
    if (el.getAttribute("aria-hidden") === "true" && el.querySelector("a[href], button")) {
      faults.push(`hidden, but takes the focus: ${path(el)}`);
    }
  }
  return [...new Set(faults)];
}

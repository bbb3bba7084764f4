// Keeps the list of what runs up to date. It never takes what somebody holds from under them.

const EVERY = 3000;
const list = () => document.querySelector("#running");

function isInUse() {
  const selection = document.getSelection();
  const isSelected = !selection.isCollapsed && list().contains(selection.anchorNode);
  return isSelected || list().contains(document.activeElement);
}

async function look() {
  if (document.hidden || isInUse()) return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const found = page.querySelector("#running");
  if (found && !isInUse()) list().replaceWith(document.adoptNode(found));
}

async function keepLooking() {
  try {
    await look();
  } catch {
    // The site is away; the next look will tell.
  }
  setTimeout(keepLooking, EVERY);
}

setTimeout(keepLooking, EVERY);

// Asks by address and shows the text as it comes, up to [DONE]: all that a page needs to read an
// answer with EventSource. A lost connection is the browser's own business: it reads on by itself.

const form = document.getElementById("ask");
const answer = document.getElementById("answer");
const failure = document.getElementById("failure");

let source = null;

function end() {
  source?.close();
  source = null;
  answer.removeAttribute("aria-busy");
}

function start(message) {
  end();
  failure.hidden = true;
  answer.hidden = false;
  answer.textContent = "";
  answer.setAttribute("aria-busy", "true");
  source = new EventSource(form.dataset.address + encodeURIComponent(message));
  source.addEventListener("message", (event) => {
    if (event.data === "[DONE]") end();
    else answer.textContent += event.data;
  });
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    end();
    failure.hidden = false;
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start(form.elements.msg.value);
});

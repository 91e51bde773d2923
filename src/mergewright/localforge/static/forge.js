// What makes the forge's pages livelier. Every page works without it.
"use strict";

// --- a page about something that still runs shows itself anew -----------------------------------
const main = document.getElementById("main");

function busy() {
  if (document.hidden) return true;
  const at = document.activeElement;
  if (at && main.contains(at) && at.matches("input, textarea, select, button, summary")) return true;
  return [...main.querySelectorAll("textarea, input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);
}

async function renew() {
  const seconds = Number(main.dataset.live);
  if (!seconds) return;
  await new Promise((done) => setTimeout(done, seconds * 1000));
  if (!busy()) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok && !busy()) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
        if (fresh) {
          const open = new Set([...main.querySelectorAll("details[open][id]")].map((one) => one.id));
          main.replaceChildren(...fresh.childNodes);
          for (const id of open) document.getElementById(id)?.setAttribute("open", "");
          if (fresh.dataset.live) main.dataset.live = fresh.dataset.live; else delete main.dataset.live;
        }
      }
    } catch { /* The forge may be on its way up again. */ }
  }
  renew();
}
renew();

// --- an address to copy is chosen whole ---------------------------------------------------------
for (const field of document.querySelectorAll("input[data-copy]")) {
  field.addEventListener("focus", () => field.select());
}

// --- Ctrl+Enter sends what one writes -----------------------------------------------------------
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    event.preventDefault();
    event.target.form?.requestSubmit();
  }
});

// --- a resolved thread that an address names is opened ------------------------------------------
const named = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
if (named) {
  for (let one = named; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
}

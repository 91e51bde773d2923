// What makes the pages livelier. Every page works without it.
"use strict";

// --- the theme -------------------------------------------------------------------------------
const root = document.documentElement;
const dark = () => root.dataset.theme
  ? root.dataset.theme === "dark"
  : matchMedia("(prefers-color-scheme: dark)").matches;

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.hidden = false;
  button.setAttribute("aria-label", "Switch between the light and the dark theme");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* It lasts for this page then. */ }
    name();
  });
  name();
}

// --- sessions: a live page -------------------------------------------------------------------
// A new connection of the extension begins at the page's own beginning; what came since is not wanted twice.
const story = document.getElementById("story");
const link = document.getElementById("link");
const jump = document.getElementById("jump");

if (window.htmx && story) {
  let last = story.dataset.last;
  htmx.createEventSource = (address) => {
    const where = new URL(address, location.href);
    where.searchParams.set("after", last);
    return new EventSource(where, { withCredentials: true });
  };
  let following = false;
  let written = null;
  const end = () => window.innerHeight + window.scrollY >= root.scrollHeight - 80;
  const toEnd = () => { window.scrollTo({ top: root.scrollHeight }); jump.hidden = true; };
  document.body.addEventListener("htmx:sseOpen", () => { if (link) link.textContent = "Live"; });
  document.body.addEventListener("htmx:sseError", () => { if (link) link.textContent = "Connection lost, trying again"; });
  document.body.addEventListener("htmx:sseClose", () => { if (link) link.textContent = "This is the end."; });
  document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
    if (event.detail.lastEventId) last = event.detail.lastEventId;
    following = end();
    // What is being written stays, also where the form around it is put up anew.
    const field = document.getElementById("message-text");
    written = field && {
      text: field.value, at: [field.selectionStart, field.selectionEnd], active: field === document.activeElement,
    };
  });
  document.body.addEventListener("htmx:sseMessage", () => {
    document.getElementById("nothing")?.remove();
    // A tab in the background says how it stands, too.
    document.title = `${document.querySelector("#standing .badge").textContent}: ${document.title.replace(/^[^:]*: /, "")}`;
    const field = document.getElementById("message-text");
    if (field && written && !field.value) {
      field.value = written.text;
      if (written.active) { field.focus({ preventScroll: true }); field.setSelectionRange(...written.at); }
    }
    if (following) toEnd();
    else jump.hidden = end();
  });
  jump.addEventListener("click", () => {
    toEnd();
    document.getElementById("newest").focus({ preventScroll: true });
  });
  window.addEventListener("scroll", () => { if (end()) jump.hidden = true; }, { passive: true });

  // j and k go from one line that folds to the next.
  document.addEventListener("keydown", (event) => {
    if (!["j", "k"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) return;
    const lines = [...story.querySelectorAll("summary")].filter((one) => one.offsetParent);
    const at = lines.indexOf(document.activeElement);
    const next = lines[event.key === "j" ? at + 1 : Math.max(0, at - 1)];
    if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  });
}

// How long a session has been going, second by second.
const size = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const span = (seconds) => {
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [name, much] of size) {
    if (left >= much) { parts.push(`${Math.floor(left / much)} ${name}`); left %= much; }
  }
  return parts.slice(0, 2).join(" ") || "0 s";
};
setInterval(() => {
  for (const one of document.querySelectorAll("[data-since]:not([data-until])")) {
    one.textContent = span(Date.now() / 1000 - Number(one.dataset.since));
  }
}, 1000);

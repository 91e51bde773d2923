// Loaded before the first paint, so that nothing flashes: a chosen theme, and what is only for pages without scripts.
"use strict";
document.documentElement.classList.add("lively");
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* Without storage the system's theme stays. */ }

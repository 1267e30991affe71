// Keeps a page up to date and lets it be used from the keyboard. All content comes from the server as whole pages.
"use strict";

const MAX_LOG_CHARS = 200000;
const RETRY_MS = 3000;
let source = null;
let fetching = false;
let again = false;

// ---- live: the server says that something has changed, the page fetches itself and exchanges its parts

function tell(state, text) {
  const live = document.getElementById("live");
  live.hidden = false;
  live.className = `live ${state}`;
  live.querySelector(".word").textContent = text;
}

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { /* the connection is gone: the event source tells of it and comes back */ }
  fetching = false;
  if (again) { again = false; refresh(); }
}

function exchange(fresh) {
  const focused = document.activeElement;
  const key = focused?.closest("[data-part]") && (focused.getAttribute("href") || focused.getAttribute("value"));
  const marked = new Set([...document.querySelectorAll("input.mark:checked")].map((box) => box.value));
  const row = chosenRow()?.querySelector("a.go")?.getAttribute("href");
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!other || other.innerHTML === part.innerHTML) continue;
    const scrolled = [...part.querySelectorAll(".lineage")].map((list) => list.scrollTop);
    part.replaceChildren(...other.childNodes);
    part.querySelectorAll(".lineage").forEach((list, k) => { list.scrollTop = scrolled[k] ?? 0; });
  }
  const now = document.getElementById("now");
  if (now) now.hidden = fresh.getElementById("now")?.hidden ?? true;
  document.querySelectorAll("input.mark").forEach((box) => { box.checked = marked.has(box.value); });
  if (row) choose([...rows()].find((one) => one.querySelector("a.go")?.getAttribute("href") === row));
  if (key) document.querySelector(`[data-part] [href="${CSS.escape(key)}"], [data-part] [value="${CSS.escape(key)}"]`)?.focus();
  document.dispatchEvent(new Event("sia:updated"));
}

function addLog(text) {
  const log = document.getElementById("live-log");
  if (!log) return;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.textContent = (log.textContent + text).slice(-MAX_LOG_CHARS);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

let stage = "";
function connect() {
  const address = document.body.dataset.events;
  if (!address || source || document.hidden) return;
  source = new EventSource(address);
  source.addEventListener("open", () => tell("on", "live"));
  // The first one comes at once: something may have changed between the page and the connection.
  source.addEventListener("changed", refresh);
  source.addEventListener("log", (event) => {
    const now = document.querySelector("#now h2")?.firstChild?.textContent ?? "";
    if (now !== stage) { stage = now; document.getElementById("live-log")?.replaceChildren(); }
    addLog(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    tell("off", "not connected");
    if (source.readyState === EventSource.CLOSED) { source = null; setTimeout(connect, RETRY_MS); }
  });
}

// A browser keeps few connections to one server: a hidden page gives its own up.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { source?.close(); source = null; } else connect();
});

function tick() {
  for (const mark of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Date.now() / 1000 - Number(mark.dataset.since));
    mark.textContent = seconds < 60 ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  }
}

// ---- keyboard

const rows = () => document.querySelectorAll("table.rows tbody tr");
const chosenRow = () => document.querySelector("tr.chosen");

function choose(row) {
  if (!row) return;
  chosenRow()?.classList.remove("chosen");
  row.classList.add("chosen");
  (row.querySelector("a.go") ?? row.querySelector("a, summary"))?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = [...rows()];
  const at = all.indexOf(chosenRow());
  choose(all[Math.min(Math.max(at + by, 0), all.length - 1)]);
}

const follow = (selector) => document.querySelector(selector)?.click();

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  x: () => chosenRow()?.querySelector("input.mark")?.click(),
  "/": () => document.getElementById("filter")?.focus(),
  "[": () => follow("#earlier"),
  "]": () => follow("#later"),
  n: () => follow(".pager .next"),
  p: () => follow(".pager .previous"),
  u: () => follow(document.getElementById("up") ? "#up" : "#home"),
  "?": () => document.getElementById("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  if (/^[1-9]$/.test(event.key)) { document.querySelectorAll("nav.tabs a")[event.key - 1]?.click(); return; }
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});

document.addEventListener("DOMContentLoaded", () => { connect(); tick(); setInterval(tick, 1000); });

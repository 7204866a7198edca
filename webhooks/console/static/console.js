// Keeps the page up to date without reloading it, counts times on, and says whether it still hears from the server.
// Everything works without it, by reload.

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const live = document.getElementById("live");
const words = document.getElementById("live-words");
const RECONNECT_MS = 10_000;

let offset = Number(document.body.dataset.now) * 1000 - Date.now(); // the server's clock is the one that counts

// ---- times

function span(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  for (const [unit, size, below, smaller] of [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / smaller);
      return rest ? `${Math.floor(whole / size)} ${unit} ${rest} ${below}` : `${Math.floor(whole / size)} ${unit}`;
    }
  }
  return `${whole} s`;
}

function expected(seconds) {
  if (seconds < 0) return seconds < -10 ? `${span(-seconds)} late` : "any moment";
  return `in ${span(seconds)}`;
}

function clock(element, now) {
  const at = new Date(element.dateTime);
  const isToday = at.toDateString() === new Date(now).toDateString();
  element.title = element.dateTime.replace("T", " ").replace("Z", " UTC");
  const short = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return isToday ? at.toLocaleTimeString([], short) : `${at.toLocaleDateString()} ${at.toLocaleTimeString([], short)}`;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  const now = Date.now() + offset;
  for (const element of document.querySelectorAll("time")) {
    if (element.dataset.since) say(element, span(now / 1000 - Number(element.dataset.since)));
    else if (element.dataset.until) say(element, expected(Number(element.dataset.until) - now / 1000));
    else if ("clock" in element.dataset) say(element, clock(element, now));
  }
}

// ---- changing the page in place: what has the focus, is open, checked or typed stays so

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
}

function isSame(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" || name === "title")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  morphAttributes(old, fresh);
  if (old.nodeName !== "TIME" && old.nodeName !== "SELECT") morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const kept = new Set([...fresh.childNodes].map(keyOf));
  for (const child of [...old.children]) {
    if (keyOf(child) && !kept.has(keyOf(child))) child.remove(); // so that the others need not move, and lose the focus
  }
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let match = at;
    while (match && !isSame(match, wanted)) match = keyOf(wanted) || !keyOf(match) ? match.nextSibling : null;
    if (match && (keyOf(wanted) || match === at)) {
      at = clearBefore(match, at);
      const following = match === at ? at.nextSibling : at;
      if (match !== at) old.insertBefore(match, at);
      morph(match, wanted);
      at = following;
    } else {
      old.insertBefore(wanted, at);
    }
  }
  while (at) {
    const following = at.nextSibling;
    at.remove();
    at = following;
  }
}

// Removes what has no key from `at` up to `match`, which then need not move. Where to go on.
function clearBefore(match, at) {
  for (let one = at; one !== match;) {
    const next = one.nextSibling;
    if (!keyOf(one)) {
      if (one === at) at = next;
      one.remove();
    }
    one = next;
  }
  return at;
}

function show(element, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  morphChildren(element, template.content);
}

// ---- hearing of it

function state(name, text) {
  live.dataset.state = name;
  say(words, text);
}

function listen() {
  const source = new EventSource(location.href);
  source.addEventListener("page", (event) => {
    const { at, parts } = JSON.parse(event.data);
    offset = at * 1000 - Date.now();
    if (parts.nav !== undefined) show(nav, parts.nav);
    if (parts.main !== undefined) show(main, parts.main);
    state("on", "live");
    tick();
  });
  source.addEventListener("away", () => state("off", "database away"));
  for (const ending of ["over", "gone"]) {
    source.addEventListener(ending, () => {
      source.close();
      location.reload();
    });
  }
  source.addEventListener("error", () => {
    state("off", "reconnecting…");
    if (source.readyState === EventSource.CLOSED) {
      source.close();
      setTimeout(listen, RECONNECT_MS);
    }
  });
  window.addEventListener("pagehide", () => source.close(), { once: true });
}

window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // kept by the browser from before: old news, and its stream is closed
});

if (location.search.includes("said=")) {
  const address = new URL(location.href);
  address.searchParams.delete("said");
  address.searchParams.delete("count");
  history.replaceState(null, "", address); // a reload says it no more
}
state("off", "connecting…");
tick();
setInterval(tick, 1000);
listen();

// The list of messages: kept in step with the store, scrolled as a chat is, walked by keyboard, swiped by finger.

import { row } from "./bubble.js";
import { avatar, byId, el, icon } from "./dom.js";
import { chat, messagesShown, store } from "./store.js";
import { day } from "./text.js";

const log = byId("log");
const column = byId("log-column");
const toBottom = byId("to-bottom");
const count = byId("to-bottom-count");
const GROUP_SECONDS = 300;
const NEAR = 140;
const SUGGESTIONS = ["/f an astronaut on a beach", "/wan a paper boat on a quiet lake", "/help"];
const drawn = new Map();
let actions = {};
let missed = 0;
let openKey = "";

export function startLog(given) {
  actions = given;
  toBottom.prepend(icon("down"));
  toBottom.addEventListener("click", () => scrollToEnd(true));
  log.addEventListener("scroll", scrolled, { passive: true });
  log.addEventListener("keydown", walk);
  log.addEventListener("dblclick", replyOnDoubleClick);
  new ResizeObserver(() => follows && scrollToEnd()).observe(log);
  watchSwipes();
}

// The log follows its end until the reader scrolls up.
let follows = true;
let lastTop = 0;

function scrolled() {
  const isNear = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  if (isNear) follows = true;
  else if (log.scrollTop < lastTop - 2) follows = false;
  lastTop = log.scrollTop;
  showToBottom();
}

export function scrollToEnd(smooth = false) {
  follows = true;
  lastTop = 0;
  log.scrollTo({ top: log.scrollHeight, behavior: smooth ? "smooth" : "instant" });
  showToBottom();
}

function showToBottom() {
  if (follows) missed = 0;
  toBottom.hidden = follows;
  count.hidden = missed === 0;
  count.textContent = String(missed);
  toBottom.setAttribute("aria-label", missed ? `${missed} new messages, go to the newest` : "To the newest message");
}

function items() {
  const list = [];
  for (const message of messagesShown()) {
    const previous = list.at(-1);
    if (message.media_group_id && previous?.group === message.media_group_id) previous.messages.push(message);
    else list.push({ key: `m${message.message_id}`, group: message.media_group_id ?? null, messages: [message] });
  }
  list.forEach((item, number) => {
    item.starts = !isTogether(list[number - 1], item);
    item.ends = !isTogether(item, list[number + 1]);
  });
  return list;
}

function isTogether(before, after) {
  if (!before || !after || before.messages[0].forum_topic_created) return false;
  const [earlier, later] = [before.messages.at(-1), after.messages[0]];
  return earlier.from.id === later.from.id && later.date - earlier.date < GROUP_SECONDS && !earlier.reply_markup
    && day(earlier.date) === day(later.date);
}

export function drawLog({ arrived = null } = {}) {
  const key = `${store.current}/${store.thread}`;
  const isOther = key !== openKey;
  const wasAtEnd = isOther || follows;
  if (isOther) {
    openKey = key;
    drawn.clear();
    column.replaceChildren();
    missed = 0;
  }
  const list = items();
  const focus = document.activeElement?.closest?.("[data-focus], .row");
  const focusKey = focus?.dataset.focus ?? (focus?.id ? `#${focus.id}` : null);
  const wanted = new Map();
  let lastDay = "";
  for (const item of list) {
    const date = day(item.messages[0].date);
    if (date !== lastDay) wanted.set(`day-${date}`, { date });
    lastDay = date;
    wanted.set(item.key, item);
  }
  if (!list.length) wanted.set("empty", {});
  for (const [known, { element }] of drawn) if (!wanted.has(known)) leave(known, element);
  let after = null;
  for (const [known, item] of wanted) {
    const signature = JSON.stringify([item, pressedIn(item), known === "empty" && store.botConnected]);
    const before = drawn.get(known);
    let element = before?.element;
    if (!before || before.signature !== signature) {
      element = make(known, item);
      if (before) {
        element.setAttribute("aria-live", "off");
        before.element.replaceWith(element);
      } else {
        if (!isOther && item.messages && arrived !== null) element.classList.add("is-new");
        place(element, after);
        requestAnimationFrame(() => element.setAttribute("aria-live", "off"));
      }
      drawn.set(known, { element, signature });
    }
    after = element;
  }
  restoreFocus(focusKey);
  if (arrived?.from.id === store.me?.id || wasAtEnd) scrollToEnd(!isOther && arrived !== null);
  else if (arrived) missed += 1;
  showToBottom();
}

function place(element, after) {
  if (after) after.after(element);
  else column.prepend(element);
}

function leave(key, element) {
  drawn.delete(key);
  const height = element.offsetHeight;
  if (!element.classList.contains("row") || matchMedia("(prefers-reduced-motion: reduce)").matches) {
    element.remove();
    return;
  }
  element.removeAttribute("id");
  element.inert = true;
  element.animate(
    [
      { opacity: 1, height: `${height}px`, transform: "none", filter: "blur(0)" },
      { opacity: 0, height: `${height}px`, transform: "scale(.9)", filter: "blur(6px)", offset: 0.6 },
      { opacity: 0, height: "0px", marginTop: "0px", transform: "scale(.9)" },
    ],
    { duration: 320, easing: "ease" },
  ).onfinish = () => element.remove();
}

function make(key, item) {
  if (key === "empty") return emptyChat();
  if (item.date) return el("div", { class: "day" }, item.date);
  return row(item, actions);
}

function pressedIn(item) {
  return item.messages?.flatMap((message) => [...store.pressed.keys()].filter((key) => key.startsWith(`${message.message_id}:`))) ?? [];
}

function emptyChat() {
  const known = chat();
  const name = known?.type === "private" ? store.bot.first_name : known?.title ?? "";
  const lead = store.botConnected ? "Nothing here yet. Ask for a picture:" : "No bot is connected yet. You can write all the same; it gets your messages when it comes.";
  return el(
    "section",
    { class: "empty", "aria-label": "Empty chat" },
    avatar(name || "V", known?.type === "private" ? 0 : known?.id ?? 0, "avatar-large"),
    el("h2", {}, name),
    el("p", {}, lead),
    SUGGESTIONS.map((words) => {
      const [command, ...rest] = words.split(" ");
      return el("button", { class: "suggestion", type: "button", onclick: () => actions.command(words) }, el("b", {}, command), ` ${rest.join(" ")}`);
    }),
  );
}

function restoreFocus(key) {
  if (!key || document.activeElement !== document.body) return;
  const target = key.startsWith("#") ? byId(key.slice(1)) : column.querySelector(`[data-focus="${CSS.escape(key)}"]`);
  target?.focus({ preventScroll: true });
}

export function jumpTo(messageId) {
  const target = [...column.querySelectorAll(".row")].find((element) => {
    const item = items().find((known) => known.key === element.dataset.key);
    return item?.messages.some((message) => message.message_id === messageId);
  });
  if (!target) return;
  target.scrollIntoView({ block: "center", behavior: "smooth" });
  target.classList.remove("is-found");
  requestAnimationFrame(() => target.classList.add("is-found"));
  setTimeout(() => target.classList.remove("is-found"), 1700);
}

function rowMessage(element) {
  return chat()?.messages.get(Number(element?.dataset.first));
}

function walk(event) {
  const rows = [...column.querySelectorAll(".row")];
  const here = document.activeElement?.closest(".row");
  const at = rows.indexOf(here);
  if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const next = rows[at === -1 ? rows.length - 1 : at + (event.key === "ArrowUp" ? -1 : 1)];
    if (next) next.focus();
    else if (event.key === "ArrowDown") actions.compose();
    event.preventDefault();
  } else if (event.key.toLowerCase() === "r" && here && !event.ctrlKey && !event.metaKey && !event.altKey) {
    actions.reply(rowMessage(here));
    event.preventDefault();
  } else if (event.key === "Enter" && document.activeElement === here) {
    here.querySelector(".media-open, .document, .keyboard button")?.click();
    event.preventDefault();
  } else if (event.key === "Escape") {
    actions.compose();
  }
}

export function focusLastRow() {
  column.querySelector(".row:last-of-type")?.focus();
}

function replyOnDoubleClick(event) {
  if (event.target.closest("button, a, .words, video")) return;
  const message = rowMessage(event.target.closest(".row"));
  if (message) actions.reply(message);
}

function watchSwipes() {
  let start = null;
  log.addEventListener("touchstart", (event) => {
    const target = event.target.closest(".row");
    const [finger] = event.touches;
    start = target && event.touches.length === 1 ? { target, x: finger.clientX, y: finger.clientY, shift: 0 } : null;
  }, { passive: true });
  log.addEventListener("touchmove", (event) => {
    if (!start) return;
    const [finger] = event.touches;
    const [across, along] = [finger.clientX - start.x, finger.clientY - start.y];
    if (Math.abs(along) > 24 && start.shift === 0) { start = null; return; }
    if (across > -10) return;
    start.shift = Math.max(across, -72);
    start.target.classList.add("is-swiping");
    start.target.style.transform = `translateX(${start.shift}px)`;
  }, { passive: true });
  const end = () => {
    if (!start) return;
    start.target.classList.remove("is-swiping");
    start.target.style.transform = "";
    if (start.shift < -48) actions.reply(rowMessage(start.target));
    start = null;
  };
  log.addEventListener("touchend", end);
  log.addEventListener("touchcancel", end);
}

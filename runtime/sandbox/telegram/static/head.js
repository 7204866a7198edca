// The chat's header, its menu, the list of chats, and the title of the window.

import { avatar, byId, el, icon } from "./dom.js";
import { alertPanel, askName, popup, toast } from "./panels.js";
import { armFault, chat, openChat, personUrl, setBlocked, store } from "./store.js";
import { clock, gist } from "./text.js";

const ACTIONS = {
  typing: "typing",
  upload_photo: "sending photo",
  upload_video: "sending video",
  record_video: "recording video",
  upload_document: "sending file",
  upload_voice: "sending voice",
  record_voice: "recording voice",
  choose_sticker: "choosing a sticker",
  find_location: "finding a place",
};
const TROUBLES = [
  ["Next call: too many requests", { kind: "error", retry_after: 3 }],
  ["Next call: answered after 4 s", { kind: "slow", seconds: 4 }],
  ["Next call: 502 with a web page", { kind: "bad_gateway" }],
  ["Next call: cut in mid-answer", { kind: "cut" }],
  ["Next update: delivered twice", { kind: "duplicate" }],
];

export function startHead() {
  byId("back-button").append(icon("back"));
  byId("more-button").append(icon("more"));
  byId("back-button").addEventListener("click", () => byId("sidebar").classList.add("is-open"));
  byId("person-button").addEventListener("click", (event) => popup(event.currentTarget, people()));
  byId("more-button").addEventListener("click", (event) => popup(event.currentTarget, more()));
  byId("unblock-button").addEventListener("click", () => setBlocked(false));
  byId("badge").addEventListener("click", explain);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) store.unread.delete(store.current);
    drawHead();
  });
}

export function drawHead() {
  const open = chat();
  if (!open) {
    drawStatus(null);
    return;
  }
  const isPrivate = open.type === "private";
  const name = isPrivate ? store.bot.first_name : open.title;
  byId("chat-name").textContent = name;
  byId("chat-avatar").replaceWith(Object.assign(avatar(name, isPrivate ? 0 : open.id), { id: "chat-avatar" }));
  byId("person-avatar").replaceWith(Object.assign(avatar(store.me.first_name, store.me.id, "avatar-small"), { id: "person-avatar" }));
  byId("person-name").textContent = store.me.first_name;
  const unread = [...store.unread.values()].reduce((sum, number) => sum + number, 0);
  document.title = `${unread ? `(${unread}) ` : ""}${name} — sandbox`;
  const isBlocked = open.bot_status === "kicked";
  byId("composer").hidden = isBlocked;
  byId("unblock-button").hidden = !isBlocked;
  byId("menu-button").hidden = open.commands.length === 0;
  drawStatus(open);
  drawTopics(open);
  drawChats();
}

function drawStatus(open) {
  const status = byId("chat-status");
  const action = store.online && open?.action;
  status.classList.toggle("is-active", Boolean(action));
  if (action) {
    const dots = el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
    const words = `${ACTIONS[action.action] ?? "busy"}…`;
    if (status.textContent !== words) status.replaceChildren(dots, words);
    return;
  }
  let words = "bot";
  if (!store.online) words = "connecting…";
  else if (open.type !== "private") words = `${open.members} members`;
  else if (!store.botConnected) words = "waiting for the bot to connect";
  if (status.textContent !== words) status.textContent = words;
}

function drawTopics(open) {
  const row = byId("topics");
  row.hidden = !open.is_forum;
  if (!open.is_forum) return;
  const tabs = [{ id: 0, title: "General" }, ...open.topics];
  row.replaceChildren(...tabs.map(({ id, title }) =>
    el("button", { type: "button", role: "tab", "aria-selected": String(id === store.thread), onclick: () => openChat(open.id, id) }, title)));
}

function drawChats() {
  const entries = [...store.chats.values()].map((known) => {
    const isPrivate = known.type === "private";
    const name = isPrivate ? store.bot.first_name : known.title;
    const last = [...known.messages.values()].at(-1);
    const unread = store.unread.get(known.id) ?? 0;
    return el(
      "button",
      {
        class: "chat-entry", type: "button", "aria-current": String(known.id === store.current),
        onclick: () => { byId("sidebar").classList.remove("is-open"); openChat(known.id); },
      },
      avatar(name, isPrivate ? 0 : known.id),
      el("strong", {}, name),
      last ? el("time", {}, clock(last.date)) : el("span"),
      el("span", { class: "preview" }, last ? gist(last) : "No messages yet"),
      unread ? el("span", { class: "unread", "aria-label": `${unread} unread` }, String(unread)) : null,
    );
  });
  const list = byId("chat-list");
  const focused = [...list.children].indexOf(document.activeElement);
  list.replaceChildren(...entries);
  if (focused >= 0) list.children[focused]?.focus();
}

function people() {
  const others = store.people.filter((name) => name !== store.me.first_name);
  return [
    { heading: "Look through the eyes of" },
    ...others.map((name) => ({ text: name, mark: icon("person"), href: personUrl(name) })),
    { text: "Somebody new…", mark: icon("person"), run: () => askName("Who is it?", (name) => { location.search = personUrl(name); }) },
  ];
}

function more() {
  const isBlocked = chat().bot_status === "kicked";
  return [
    ...people(),
    { line: true },
    { heading: "Simulate trouble" },
    ...TROUBLES.map(([text, fault]) => ({ text, mark: icon("bolt"), run: () => armFault(fault).then(() => toast(`Armed. ${text}.`)) })),
    { line: true },
    isBlocked
      ? { text: "Unblock the bot", mark: icon("block"), run: () => setBlocked(false) }
      : { text: "Block the bot", mark: icon("block"), danger: true, run: () => setBlocked(true) },
  ];
}

function explain() {
  alertPanel(
    "This is no real Telegram",
    "A sandbox on this machine that speaks the Telegram Bot API. Nothing here reaches Telegram or anybody's phone; only the connected bot gets what you send. All is forgotten when the sandbox stops.",
    el("p", { class: "soft" }, "To connect a bot, give it this address as its Bot API server:"),
    el("p", {}, el("code", {}, `${location.origin}/bot<token>/<method>`)),
  );
}


// The message field: Enter sends, Shift+Enter breaks the line, "/" opens the commands, Ctrl+Up answers.

import { quote } from "./bubble.js";
import { byId, el, icon } from "./dom.js";
import { chat, messagesShown, sendMessage } from "./store.js";
import { closeCommands, commandKey, startCommands, suggest } from "./commands.js";
import { focusLastRow, jumpTo, scrollToEnd } from "./log.js";
import { toast } from "./panels.js";
import { startUpload } from "./upload.js";

const input = byId("message-input");
const send = byId("send-button");
const bar = byId("reply-bar");
let replyTo = null;

export function startComposer() {
  send.append(icon("send"));
  startCommands(insertCommand);
  startUpload({ caption: takeDraft, reply: takeReply });
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  input.addEventListener("input", changed);
  input.addEventListener("keydown", typed);
  input.addEventListener("blur", () => setTimeout(closeCommands, 150));
}

export function focusComposer() {
  input.focus();
}

export function answer(message) {
  if (!message) return;
  replyTo = message;
  bar.replaceChildren(
    icon("reply"),
    quote(message, () => jumpTo(message.message_id)),
    el("button", { class: "icon-button", type: "button", "aria-label": "Cancel reply", onclick: () => { dropReply(); input.focus(); } }, icon("close")),
  );
  bar.hidden = false;
  input.focus();
}

export function dropReply() {
  replyTo = null;
  bar.hidden = true;
  bar.replaceChildren();
}

export async function say(text) {
  const answered = takeReply();
  try {
    await sendMessage({ text, replyTo: answered });
  } catch (failed) {
    toast(failed.message);
    if (!input.value) input.value = text;
    changed();
  }
}

function takeReply() {
  const id = replyTo?.message_id ?? 0;
  dropReply();
  return id;
}

function takeDraft() {
  const draft = input.value;
  input.value = "";
  changed();
  return draft;
}

function submit() {
  const text = input.value.trim();
  if (!text) return;
  takeDraft();
  closeCommands();
  scrollToEnd();
  say(text);
}

function insertCommand(name) {
  input.value = `/${name} `;
  changed();
  input.focus();
}

function changed() {
  input.style.height = "auto";
  input.style.height = `${Math.max(42, input.scrollHeight)}px`;
  send.disabled = !input.value.trim();
  suggest(input.value);
}

function typed(event) {
  if (event.isComposing || commandKey(event)) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    submit();
  } else if (event.key === "Escape" && replyTo) {
    dropReply();
  } else if (event.key === "ArrowUp" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    answerPrevious();
  } else if (event.key === "ArrowUp" && !input.value) {
    event.preventDefault();
    focusLastRow();
  }
}

function answerPrevious() {
  const shown = messagesShown().filter((message) => chat().messages.has(message.message_id));
  const at = replyTo ? shown.findIndex((message) => message.message_id === replyTo.message_id) : shown.length;
  answer(shown[at - 1]);
}

// One message, or one album, as a row of the chat.

import { avatar, el, icon, tail } from "./dom.js";
import { album, documentRow, single, visualOf, widthOf } from "./media.js";
import { chat, mediaUrl, pressButton, react, store } from "./store.js";
import { clock, gist, isJumbo, richText } from "./text.js";
import { toast } from "./panels.js";

export function row(item, actions) {
  const [first] = item.messages;
  const last = item.messages.at(-1);
  if (first.forum_topic_created) return el("div", { class: "service" }, gist(first));
  const isOut = first.from.id === store.me.id;
  const isGroup = chat().type !== "private";
  const bubble = el("div", { class: "bubble" }, part(item, isOut, isGroup, actions), keyboard(last, actions));
  const visual = item.messages.find(visualOf);
  if (visual) {
    bubble.classList.add("has-media");
    bubble.style.width = `${item.messages.length > 1 ? 420 : widthOf(first)}px`;
  }
  const face = isGroup && !isOut ? avatar(first.from.first_name, first.from.id, item.ends ? "" : "is-spacer") : null;
  return el(
    "article",
    {
      class: ["row", isOut && "is-out", item.starts && "starts-group", item.ends && "ends-group"].filter(Boolean).join(" "),
      id: `message-${first.message_id}`,
      tabindex: "-1",
      "data-key": item.key,
      "data-id": last.message_id,
      "data-first": first.message_id,
      "aria-label": label(item),
    },
    face,
    bubble,
    el(
      "button",
      { class: "reply-handle", type: "button", "aria-label": "Reply", "data-focus": `reply-${first.message_id}`, tabindex: "-1", onclick: () => actions.reply(first) },
      icon("reply"),
    ),
  );
}

function label(item) {
  const [first] = item.messages;
  const many = item.messages.length > 1 ? `album of ${item.messages.length}, ` : "";
  return `${first.from.first_name}, ${many}${gist(item.messages.find((message) => message.caption) ?? first)}, ${clock(first.date)}`;
}

function part(item, isOut, isGroup, actions) {
  const [first] = item.messages;
  const told = item.messages.find((message) => message.text || message.caption);
  const visuals = item.messages.filter(visualOf);
  const files = item.messages.filter((message) => message.document && !message.animation);
  const box = el("div", { class: "bubble-part" });
  if (isGroup && !isOut && item.starts) box.append(el("div", { class: "sender" }, first.from.first_name));
  if (first.reply_to_message) box.append(quote(first.reply_to_message, () => actions.jump(first.reply_to_message.message_id)));
  const pictures = visuals.length > 1 ? album(visuals) : visuals.length ? single(visuals[0], visuals) : null;
  const words = told ? wording(told, actions) : null;
  const shown = [pictures, ...files.map(documentRow), words].filter(Boolean);
  box.append(...(first.show_caption_above_media ? shown.reverse() : shown));
  const reactions = item.messages.at(-1).reactions ?? [];
  if (reactions.length) box.append(reactionRow(item.messages.at(-1), reactions));
  const mark = stamp(item.messages.at(-1), isOut);
  const isOverPicture = pictures !== null && box.lastElementChild === pictures;
  if (isOverPicture) mark.classList.add("is-over");
  (isOverPicture ? box : box.lastElementChild).append(mark);
  if (item.ends && !isOverPicture) {
    box.classList.add("has-tail");
    box.append(tail());
  }
  return box;
}

function wording(message, actions) {
  const text = message.text ?? message.caption;
  const jumbo = message.text && isJumbo(text) ? " is-jumbo" : "";
  return el("div", { class: `words${jumbo}`, dir: "auto" }, ...richText(text, message.entities ?? message.caption_entities, actions));
}

function stamp(message, isOut) {
  return el(
    "span",
    { class: "stamp" },
    message.edit_date && !message.reply_markup ? "edited " : null,
    el("time", { datetime: new Date(message.date * 1000).toISOString() }, clock(message.date)),
    isOut ? icon("checks") : null,
  );
}

export function quote(message, onclick) {
  const visual = visualOf(message);
  const thumb = visual?.small ?? message.document?.thumbnail;
  return el(
    "button",
    { class: "quote", type: "button", onclick, "data-focus": `quote-${message.message_id}`, "aria-label": `Reply to ${message.from.first_name}: ${gist(message)}` },
    thumb ? el("img", { src: mediaUrl(thumb), alt: "" }) : null,
    el("span", {}, el("strong", {}, message.from.first_name), el("em", {}, gist(message))),
  );
}

function reactionRow(message, reactions) {
  return el(
    "div",
    { class: "reactions" },
    reactions.map(({ emoji, by }) => {
      const isMine = by.includes(store.me.id);
      return el(
        "button",
        { type: "button", class: isMine ? "is-mine" : "", "aria-pressed": String(isMine), "aria-label": `${emoji} ${by.length}`, onclick: () => react(message.message_id, isMine ? "" : emoji) },
        `${emoji}${by.length > 1 ? ` ${by.length}` : ""}`,
      );
    }),
  );
}

function keyboard(message, actions) {
  const rows = message.reply_markup?.inline_keyboard;
  if (!rows?.length) return null;
  return el("div", { class: "keyboard", role: "group", "aria-label": "Buttons" }, rows.map((buttons, line) =>
    el("div", { class: "keyboard-row" }, buttons.map((button, column) => key(message, button, `key-${message.message_id}-${line}-${column}`, actions))),
  ));
}

function key(message, button, focusKey) {
  const corner = (name) => {
    const mark = icon(name);
    mark.setAttribute("class", "corner");
    return mark;
  };
  if (button.url) {
    return el("a", { href: button.url, target: "_blank", rel: "noopener noreferrer", "data-focus": focusKey }, button.text, corner("external"));
  }
  if (button.copy_text) {
    const copy = async () => {
      await navigator.clipboard.writeText(button.copy_text.text);
      toast("Copied");
    };
    return el("button", { type: "button", "data-focus": focusKey, onclick: copy }, button.text, corner("copy"));
  }
  const isWaiting = store.pressed.has(`${message.message_id}:${button.callback_data}`);
  return el(
    "button",
    {
      type: "button",
      class: isWaiting ? "is-waiting" : "",
      "aria-busy": String(isWaiting),
      "data-focus": focusKey,
      disabled: button.disabled === true || !button.callback_data,
      onclick: () => !isWaiting && pressButton(message.message_id, button.callback_data).catch((failed) => toast(failed.message)),
    },
    button.text,
    isWaiting ? el("span", { class: "spinner" }) : null,
  );
}

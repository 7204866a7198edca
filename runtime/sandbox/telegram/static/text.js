// Text with entities to elements. Entity offsets are UTF-16 units, which is what JavaScript strings count in.

import { el } from "./dom.js";

const WRAPS = { bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote", expandable_blockquote: "blockquote" };

export function richText(text, entities = [], actions = {}) {
  return build(text, 0, text.length, [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length), actions);
}

function build(text, start, end, entities, actions) {
  const nodes = [];
  let position = start;
  while (entities.length) {
    const entity = entities.shift();
    const from = Math.max(entity.offset, position);
    const to = Math.min(entity.offset + entity.length, end);
    if (from >= to) continue;
    if (from > position) nodes.push(between(nodes, text.slice(position, from)));
    const inner = [];
    while (entities.length && entities[0].offset < to) inner.push(entities.shift());
    nodes.push(wrap(entity, text.slice(from, to), build(text, from, to, inner, actions), actions));
    position = to;
  }
  if (position < end) nodes.push(between(nodes, text.slice(position, end)));
  return nodes;
}

// A quote or a block of code breaks the line by itself, so the line break after it is left out.
function between(before, words) {
  return /^(PRE|BLOCKQUOTE)$/.test(before.at(-1)?.tagName ?? "") ? words.replace(/^\n/, "") : words;
}

function wrap(entity, words, children, actions) {
  switch (entity.type) {
    case "url":
      return link(words.includes("://") ? words : `https://${words}`, children);
    case "text_link":
      return link(entity.url, children);
    case "email":
      return link(`mailto:${words}`, children);
    case "bot_command":
      return el("button", { class: "command", type: "button", onclick: () => actions.command?.(words) }, ...children);
    case "spoiler": {
      const cover = el("button", { class: "hidden-words", type: "button", "aria-label": "Hidden text, press to show" }, ...children);
      cover.addEventListener("click", () => { cover.classList.add("is-shown"); cover.removeAttribute("aria-label"); });
      return cover;
    }
    case "code":
      return el("code", { title: "Copy", onclick: () => actions.copy?.(words) }, ...children);
    case "mention": case "hashtag": case "cashtag": case "text_mention":
      return el("span", { class: "command" }, ...children);
    default:
      return WRAPS[entity.type] ? el(WRAPS[entity.type], {}, ...children) : el("span", {}, ...children);
  }
}

function link(address, children) {
  const safe = /^(https?|mailto|tg|tel):/i.test(address) ? address : "#";
  return el("a", { href: safe, target: "_blank", rel: "noopener noreferrer" }, ...children);
}

export function isJumbo(text) {
  return text.length <= 12 && /^(\p{Extended_Pictographic}(\ufe0f|\u200d\p{Extended_Pictographic}|\p{Emoji_Modifier})*){1,3}$/u.test(text);
}

export function clock(date) {
  return new Date(date * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

export function day(date) {
  const then = new Date(date * 1000);
  const today = new Date();
  const yesterday = new Date();
  yesterday.setDate(today.getDate() - 1);
  if (then.toDateString() === today.toDateString()) return "Today";
  if (then.toDateString() === yesterday.toDateString()) return "Yesterday";
  return then.toLocaleDateString([], { day: "numeric", month: "long", year: then.getFullYear() === today.getFullYear() ? undefined : "numeric" });
}

export function duration(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KB`;
  return `${(count / 1024 / 1024).toFixed(1)} MB`;
}

export function gist(message) {
  const words = message.text ?? message.caption;
  if (words) return words.replaceAll("\n", " ");
  if (message.photo) return "Photo";
  if (message.video) return "Video";
  if (message.animation) return "GIF";
  if (message.document) return message.document.file_name ?? "File";
  if (message.forum_topic_created) return `Topic “${message.forum_topic_created.name}”`;
  return "Message";
}

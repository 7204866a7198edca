// The media viewer: one picture or film at a time, arrows to walk, Escape to leave.

import { byId, el, icon } from "./dom.js";
import { mediaUrl } from "./store.js";
import { clock } from "./text.js";

const dialog = byId("viewer");
let shown = [];
let at = 0;

export function openViewer(messages, messageId) {
  shown = messages;
  at = Math.max(0, messages.findIndex((message) => message.message_id === messageId));
  draw();
  dialog.showModal();
}

function draw() {
  const message = shown[at];
  const film = message.video ?? message.animation;
  const file = film ?? message.photo.at(-1);
  const label = `${at + 1} of ${shown.length}`;
  const stage = el("div", { class: "viewer-stage", onclick: (event) => event.target === stage && dialog.close() });
  if (film) stage.append(el("video", { src: mediaUrl(film), controls: "", autoplay: "", loop: "", playsinline: "" }));
  else stage.append(el("img", { src: mediaUrl(file), alt: message.caption ?? "Photo", width: file.width, height: file.height }));
  const bar = el(
    "div",
    { class: "viewer-bar" },
    el("span", {}, `${message.from.first_name}, ${clock(message.date)}${shown.length > 1 ? ` — ${label}` : ""}`),
    el("a", { class: "icon-button", href: mediaUrl(file, true), download: "", "aria-label": "Download" }, icon("download")),
    el("button", { class: "icon-button", type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close")),
  );
  dialog.replaceChildren(bar, stage);
  if (shown.length > 1) {
    dialog.append(
      el("button", { class: "icon-button turn is-previous", type: "button", "aria-label": "Previous", onclick: () => turn(-1) }, icon("left")),
      el("button", { class: "icon-button turn is-next", type: "button", "aria-label": "Next", onclick: () => turn(1) }, icon("right")),
    );
  }
  if (message.caption) dialog.append(el("p", { class: "viewer-caption" }, message.caption));
}

function turn(step) {
  at = (at + step + shown.length) % shown.length;
  draw();
}

dialog.addEventListener("keydown", (event) => {
  if (event.target.tagName === "VIDEO" || shown.length < 2) return;
  if (event.key === "ArrowLeft") turn(-1);
  if (event.key === "ArrowRight") turn(1);
});
dialog.addEventListener("close", () => dialog.replaceChildren());

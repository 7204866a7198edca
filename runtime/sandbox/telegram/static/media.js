// Photos, albums, videos and documents inside a bubble.

import { el, icon } from "./dom.js";
import { mediaUrl } from "./store.js";
import { bytes, duration } from "./text.js";
import { openViewer } from "./viewer.js";

const LOOP_SECONDS = 60;
const WIDTH = 420;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function visualOf(message) {
  if (message.photo) {
    const largest = message.photo.at(-1);
    return { kind: "photo", width: largest.width, height: largest.height, file: largest, small: message.photo[0] };
  }
  const film = message.video ?? message.animation;
  if (film) {
    return { kind: "video", width: film.width || 16, height: film.height || 9, file: film, small: film.thumbnail, seconds: film.duration, isLoop: Boolean(message.animation) };
  }
  return null;
}

export function single(message, siblings) {
  const visual = visualOf(message);
  const ratio = Math.min(Math.max(visual.width / visual.height, 0.62), 2.4);
  const frame = el("div", { class: "media is-single" }, opener(message, visual, siblings, true));
  frame.style.aspectRatio = String(ratio);
  return decorated(frame, message, visual);
}

export function widthOf(message) {
  const { width, height } = visualOf(message);
  const ratio = Math.min(Math.max(width / height, 0.62), 2.4);
  return Math.round(Math.min(WIDTH, Math.max(220, width), 480 * ratio));
}

const ROWS = { 2: [2], 3: [1, 2], 4: [2, 2], 5: [2, 3], 6: [3, 3], 7: [2, 2, 3], 8: [2, 3, 3], 9: [3, 3, 3], 10: [2, 2, 3, 3] };

export function album(messages) {
  const grid = el("div", { class: "media album" });
  let next = 0;
  for (const count of ROWS[messages.length] ?? [messages.length]) {
    const cells = messages.slice(next, next + count);
    next += count;
    const ratios = cells.map((message) => {
      const { width, height } = visualOf(message);
      return Math.min(Math.max(width / height, 0.66), 1.9);
    });
    const total = ratios.reduce((sum, ratio) => sum + ratio, 0);
    const row = el("div", { class: "album-row" });
    row.style.aspectRatio = String(Math.max(total, 1));
    cells.forEach((message, number) => {
      const visual = visualOf(message);
      const cell = el("div", { class: "cell" }, opener(message, visual, messages, false));
      cell.style.flex = `${ratios[number]} 1 0`;
      row.append(decorated(cell, message, visual));
    });
    grid.append(row);
  }
  return grid;
}

function opener(message, visual, siblings, blurred) {
  const what = visual.kind === "photo" ? "photo" : "video";
  const button = el("button", {
    class: "media-open",
    type: "button",
    "data-focus": `open-${message.message_id}`,
    "aria-label": `Open ${what}${message.caption ? `: ${message.caption}` : ""}`,
    onclick: () => {
      const frame = button.closest(".spoiler");
      if (frame) frame.classList.remove("spoiler");
      else openViewer(siblings.filter(visualOf), message.message_id);
    },
  });
  const isOdd = visual.width / visual.height > 2.4 || visual.width / visual.height < 0.62 || visual.width < 220;
  if (blurred && isOdd && visual.small) button.append(el("img", { class: "blur", src: mediaUrl(visual.small), alt: "" }));
  button.append(visual.kind === "photo" ? still(visual) : moving(visual));
  return button;
}

function still(visual) {
  return el("img", { src: mediaUrl(visual.file), width: visual.width, height: visual.height, alt: "", draggable: "false" });
}

function moving(visual) {
  const loops = (visual.isLoop || (visual.seconds ?? 0) <= LOOP_SECONDS) && !calm.matches;
  const film = el("video", {
    src: mediaUrl(visual.file), width: visual.width, height: visual.height, playsinline: "", preload: "metadata",
    poster: visual.small ? mediaUrl(visual.small) : null, tabindex: "-1",
  });
  film.muted = true;
  if (loops) {
    film.loop = true;
    film.autoplay = true;
  }
  return film;
}

function decorated(frame, message, visual) {
  if (message.has_media_spoiler) frame.classList.add("spoiler");
  if (visual.kind === "video") {
    const mark = visual.isLoop ? "GIF" : duration(visual.seconds ?? 0);
    frame.append(el("span", { class: "media-mark" }, mark, visual.isLoop ? null : icon("muted")));
    const film = frame.querySelector("video");
    if (!film.autoplay) {
      const play = icon("play");
      play.setAttribute("class", "play");
      frame.append(play);
    }
  }
  return frame;
}

export function documentRow(message) {
  const file = message.document;
  const name = file.file_name ?? "file";
  const mark = el("span", { class: "file-mark" });
  if (file.thumbnail) mark.append(el("img", { src: mediaUrl(file.thumbnail), alt: "" }));
  else mark.append(icon("file"));
  return el(
    "a",
    { class: "document", href: mediaUrl(file, true), download: name, "data-focus": `file-${message.message_id}`, "aria-label": `Download ${name}` },
    mark,
    el("span", { class: "file-words" }, el("span", { class: "file-name" }, name), el("span", { class: "file-size" }, bytes(file.file_size))),
  );
}

// Pictures, videos and files: by button, paste or drop; looked at and captioned before they go.

import { byId, el, icon } from "./dom.js";
import { sendMessage } from "./store.js";
import { bytes } from "./text.js";
import { toast } from "./panels.js";

const panel = byId("upload-panel");
const picker = byId("file-input");
const zone = byId("drop-zone");
const ALBUM = 10;
let files = [];
let source = {};
let addresses = [];

export function startUpload(given) {
  source = given;
  const attach = byId("attach-button");
  attach.append(icon("attach"));
  attach.addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    open([...picker.files]);
    picker.value = "";
  });
  document.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (!pasted.length) return;
    event.preventDefault();
    open(pasted);
  });
  watchDrops();
  panel.addEventListener("close", forget);
  panel.addEventListener("click", (event) => event.target === panel && panel.close());
}

function watchDrops() {
  let depth = 0;
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    zone.classList.add("is-shown");
  });
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) zone.classList.remove("is-shown");
  });
  document.addEventListener("drop", (event) => {
    depth = 0;
    zone.classList.remove("is-shown");
    if (!hasFiles(event)) return;
    event.preventDefault();
    open([...event.dataTransfer.files]);
  });
}

function open(added) {
  files = [...files, ...added].slice(0, ALBUM);
  if (!files.length) return;
  const draft = panel.open ? panel.querySelector("textarea").value : source.caption();
  draw(draft);
  if (!panel.open) panel.showModal();
  panel.querySelector("textarea").focus();
}

function draw(draft) {
  forgetAddresses();
  const caption = el("textarea", { class: "field", rows: "1", placeholder: "Add a caption, or a command such as /qwen …", "aria-label": "Caption" });
  caption.value = draft;
  caption.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  const asFiles = el("input", { type: "checkbox", id: "as-files" });
  panel.replaceChildren(
    el("h2", {}, title()),
    el("div", { class: `previews${files.length === 1 ? " is-one" : ""}` }, files.map(preview)),
    caption,
    el(
      "div",
      { class: "panel-actions" },
      el("label", {}, asFiles, "As files"),
      el("button", { type: "button", onclick: () => panel.close() }, "Cancel"),
      el("button", { class: "is-main", type: "button", onclick: submit }, "Send"),
    ),
  );
}

function title() {
  const pictures = files.filter((file) => file.type.startsWith("image/")).length;
  if (pictures === files.length) return files.length === 1 ? "Send a photo" : `Send ${files.length} photos as an album`;
  return files.length === 1 ? "Send a file" : `Send ${files.length} files`;
}

function preview(file, number) {
  const drop = () => {
    const draft = panel.querySelector("textarea").value;
    files = files.filter((_, at) => at !== number);
    if (files.length) draw(draft);
    else panel.close();
  };
  const remove = files.length > 1 ? el("button", { type: "button", "aria-label": `Remove ${file.name}`, onclick: drop }, icon("close")) : null;
  if (file.type.startsWith("image/") || file.type.startsWith("video/")) {
    const address = URL.createObjectURL(file);
    addresses.push(address);
    const isFilm = file.type.startsWith("video/");
    const shown = isFilm ? el("video", { src: address, playsinline: "" }) : el("img", { src: address, alt: file.name });
    if (isFilm) Object.assign(shown, { muted: true, autoplay: true, loop: true });
    return el("div", { class: "preview" }, shown, remove);
  }
  return el("div", { class: "preview is-file" }, el("div", { class: "file" }, file.name, el("br"), bytes(file.size)), remove);
}

async function submit() {
  const text = panel.querySelector("textarea").value.trim();
  const asFiles = byId("as-files").checked;
  const sent = files;
  panel.close();
  try {
    await sendMessage({ text, files: sent, asFiles, replyTo: source.reply() });
  } catch (failed) {
    toast(failed.message);
  }
}

function forget() {
  files = [];
  forgetAddresses();
  panel.replaceChildren();
  byId("message-input").focus();
}

function forgetAddresses() {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
}

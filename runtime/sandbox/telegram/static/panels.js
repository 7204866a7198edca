// Toasts, alerts and popup menus.

import { byId, el } from "./dom.js";

const toasts = byId("toasts");
const panel = byId("alert-panel");
const menu = byId("popup-menu");
let opener = null;

export function toast(text) {
  const shown = el("div", { class: "toast" }, text);
  toasts.append(shown);
  setTimeout(() => {
    shown.classList.add("is-leaving");
    setTimeout(() => shown.remove(), 320);
  }, 3600);
}

export function alertPanel(title, ...body) {
  panel.replaceChildren(
    el("h2", {}, title),
    ...body.map((piece) => (typeof piece === "string" ? el("p", { id: "alert-text" }, piece) : piece)),
    el("div", { class: "panel-actions" }, el("button", { class: "is-main", type: "button", autofocus: "", onclick: () => panel.close() }, "OK")),
  );
  panel.showModal();
}

export function askName(title, onName) {
  const field = el("input", { class: "field", maxlength: "32", placeholder: "Name", "aria-label": "Name" });
  const form = el(
    "form",
    { method: "dialog", onsubmit: () => field.value.trim() && onName(field.value.trim()) },
    field,
    el("div", { class: "panel-actions" }, el("button", { type: "button", onclick: () => panel.close() }, "Cancel"), el("button", { class: "is-main" }, "OK")),
  );
  panel.replaceChildren(el("h2", {}, title), form);
  panel.showModal();
  field.focus();
}

// entries: {text, icon, run | href, danger} or {heading} or {line: true}
export function popup(button, entries) {
  if (!menu.hidden) return closePopup();
  opener = button;
  menu.replaceChildren(...entries.map(entry));
  menu.hidden = false;
  const box = button.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left), innerWidth - menu.offsetWidth - 8);
  Object.assign(menu.style, { left: `${left}px`, top: `${box.bottom + 6}px` });
  button.setAttribute("aria-expanded", "true");
  return menu.querySelector("[role=menuitem]")?.focus();
}

function entry({ text, mark, run, href, danger, heading, line }) {
  if (line) return el("hr");
  if (heading) return el("p", { class: "heading" }, heading);
  const properties = { role: "menuitem", class: danger ? "is-danger" : "", tabindex: "-1" };
  if (href) return el("a", { ...properties, href }, mark, text);
  return el("button", { ...properties, type: "button", onclick: () => { closePopup(); run(); } }, mark, text);
}

function closePopup() {
  if (menu.hidden) return;
  menu.hidden = true;
  opener?.setAttribute("aria-expanded", "false");
  opener?.focus({ preventScroll: true });
}

menu.addEventListener("keydown", (event) => {
  const entries = [...menu.querySelectorAll("[role=menuitem]")];
  const at = entries.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (next !== undefined) entries.at(next % entries.length)?.focus();
  else if (event.key === "Escape" || event.key === "Tab") closePopup();
  else return;
  event.preventDefault();
});
document.addEventListener("pointerdown", (event) => {
  if (!menu.hidden && !menu.contains(event.target) && !opener?.contains(event.target)) closePopup();
});

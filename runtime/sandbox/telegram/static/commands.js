// The menu of commands: opened by the button, or by typing "/", and filtered as one types.

import { byId, el, icon } from "./dom.js";
import { chat } from "./store.js";

const list = byId("command-menu");
const input = byId("message-input");
const button = byId("menu-button");
let options = [];
let selected = 0;
let pick = () => {};

export function startCommands(onPick) {
  pick = onPick;
  button.append(icon("slash"));
  button.addEventListener("mousedown", (event) => event.preventDefault());
  button.addEventListener("click", () => {
    if (!list.hidden) return closeCommands();
    input.focus();
    return show(chat()?.commands ?? []);
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
}

export function suggest(text) {
  const typed = /^\/(\w*)$/.exec(text);
  if (!typed) return closeCommands();
  const wanted = typed[1].toLowerCase();
  const found = (chat()?.commands ?? []).filter(({ command }) => command.startsWith(wanted));
  return found.length ? show(found) : closeCommands();
}

export function closeCommands() {
  list.hidden = true;
  for (const opener of [input, button]) opener.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

export function commandKey(event) {
  if (list.hidden || !options.length) return event.key === "Escape" && !list.hidden && (closeCommands(), true);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) mark((selected + step + options.length) % options.length);
  else if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey && !isTyped())) choose(selected);
  else if (event.key === "Escape") closeCommands();
  else return false;
  event.preventDefault();
  return true;
}

// A command typed in full is sent by Enter, as it stands.
function isTyped() {
  return input.value === `/${options[selected].command}`;
}

function show(commands) {
  options = commands;
  list.replaceChildren(...commands.map(({ command, description }, number) => el(
    "div",
    { class: "command-option", role: "option", id: `command-${number}`, "aria-selected": "false", onclick: () => choose(number), onmousemove: () => mark(number) },
    el("b", {}, `/${command}`),
    el("span", {}, description),
  )));
  if (!commands.length) list.append(el("p", { class: "nothing" }, "The bot has set no commands yet."));
  list.hidden = false;
  for (const opener of [input, button]) opener.setAttribute("aria-expanded", "true");
  if (commands.length) mark(0);
}

function mark(number) {
  selected = number;
  [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === number)));
  list.children[number].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", `command-${number}`);
}

function choose(number) {
  const { command } = options[number];
  closeCommands();
  pick(command);
}

// Making elements: el("p", {class: "soft"}, "text", child). Event handlers are "on…" properties.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  back: "M15 5l-7 7 7 7",
  more: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  attach: "M20 11.5l-8.2 8.2a5.3 5.3 0 0 1-7.5-7.5l8.9-8.9a3.5 3.5 0 0 1 5 5l-8.6 8.6a1.8 1.8 0 0 1-2.5-2.5l7.6-7.6",
  slash: "M14.5 7l-5 10M6.5 3.5h11a3 3 0 0 1 3 3v11a3 3 0 0 1-3 3h-11a3 3 0 0 1-3-3v-11a3 3 0 0 1 3-3z",
  send: "M4 12L3.2 4.6 21 12 3.2 19.4 4 12zm0 0h8",
  reply: "M10 5L4 11l6 6M4.5 11H13a7 7 0 0 1 7 7v1",
  down: "M5 9l7 7 7-7",
  close: "M6 6l12 12M18 6L6 18",
  checks: "M2 12.5l4.5 4.5L15 7.5M11 16l1 1 9.5-9.5",
  download: "M12 4v12M6 11l6 6 6-6M5 20.5h14",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  play: "M5 3.5v17l14.5-8.5z",
  muted: "M4 9.5h3.5L12 5.5v13l-4.5-4H4zM16 9.5l5 5M21 9.5l-5 5",
  block: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM5.8 5.8l12.4 12.4",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20.5c.8-4 4-6 8-6s7.2 2 8 6",
  bolt: "M13 3L5 13.5h6L10 21l8-10.5h-6z",
  external: "M7 17L17 7M9 7h8v8",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
};
const SOLID = new Set(["send", "play"]);

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && typeof value === "boolean") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  if (SOLID.has(name)) path.setAttribute("fill", "currentColor");
  else path.setAttribute("fill", "none");
  path.setAttribute("stroke", "currentColor");
  path.setAttribute("stroke-width", name === "more" ? "3.2" : "1.9");
  path.setAttribute("stroke-linecap", "round");
  path.setAttribute("stroke-linejoin", "round");
  svg.append(path);
  return svg;
}

export function tail() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 9 17");
  svg.setAttribute("class", "tail");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M9 0v17H1.2C.2 17-.2 15.9.6 15.3 5.600 11.600 8.500 7 9 0z");
  svg.append(path);
  return svg;
}

export function avatar(name, id, size = "") {
  const letter = [...name.trim()][0] ?? "?";
  return el("span", { class: `avatar ${size}`, "data-hue": Math.abs(id) % 7, "aria-hidden": "true" }, letter.toUpperCase());
}

export function byId(id) {
  return document.getElementById(id);
}

// Elements, made without any markup from data: every text is a text node.
const NS = "http://www.w3.org/2000/svg";

const put = (node, name, value) => {
  if (value === false || value === null || value === undefined) return;
  if (name === "class") node.className = value;
  else if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
  else if (name === "data") Object.assign(node.dataset, value);
  else if (name === "value" || name === "checked") node[name] = value;
  else node.setAttribute(name, value === true ? "" : String(value));
};

export const h = (tag, props, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) put(node, name, value);
  add(node, children);
  return node;
};

export const add = (node, children) => {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
};

export const fill = (node, ...children) => {
  node.replaceChildren();
  return add(node, children);
};

export const icon = (name, more = "") => {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("class", `i ${more}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(NS, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
};

export const svg = (name, attributes) => {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes ?? {})) node.setAttribute(key, value);
  return node;
};

export const sr = (text) => h("span", { class: "sr" }, text);
export const strong = (...text) => h("b", { class: "strong" }, ...text);
export const mute = (...text) => h("span", { class: "mute" }, ...text);
export const one = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// A share of 1 that the style sheet turns into a width.
export const share = (node, value) => {
  node.style.setProperty("--v", String(value));
  return node;
};

let made = 0;
export const newId = (prefix) => `${prefix}-${(made += 1)}`;

// Characters that act on the direction of text or take no room are shown, not obeyed.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\udb40][\udc00-\udc7f]/gu;
export const plain = (value) => String(value).replace(HIDDEN, (it) => `\\u{${it.codePointAt(0).toString(16)}}`);

// Text from outside, of any script and length.
export const foreign = (value, props = {}) => {
  const shown = plain(value);
  return h("bdi", { title: shown, ...props }, shown);
};

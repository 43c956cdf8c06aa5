// Dialogs, lists below chips, and lines that answer a deed. Focus goes in, and back where it came from.
import { all, fill, h, icon, newId, one } from "./dom.js";

const NOTE_MS = 8000;
let noteTimer = 0, popped = null;

// A line that says what was done, with one way back.
export function note(text, deed = null) {
  const host = one("#notes");
  clearTimeout(noteTimer);
  const clear = () => fill(host);
  fill(host, h("div", { class: "note-line" }, h("span", {}, text), deed && h("button", { type: "button", on: { click: () => { clear(); deed.act(); } } }, deed.text),
    h("button", { type: "button", "aria-label": "Close this note", on: { click: clear } }, "×")));
  noteTimer = setTimeout(clear, NOTE_MS);
}

// `make` gets `close`, and gives body and foot.
export function dialog(title, make, { kind = "", onClose = null } = {}) {
  closePop();
  const before = document.activeElement;
  const id = newId("dialog");
  const node = h("dialog", { class: kind, "aria-labelledby": id });
  const close = () => node.close();
  const name = h("h2", { id }, title);
  const { body, foot } = make(close, node);
  fill(node, h("div", { class: "dialog-h" }, name, h("button", { type: "button", class: "btn quiet icon push", "aria-label": "Close", on: { click: close } }, icon("cross"))),
    h("div", { class: "dialog-b" }, body), foot && h("div", { class: "dialog-f" }, foot));
  node.rename = (text) => { name.textContent = text; };
  node.addEventListener("close", () => { node.remove(); onClose?.(); if (before?.isConnected) before.focus(); });
  node.addEventListener("click", (event) => { if (event.target === node) close(); });
  document.body.append(node);
  node.showModal();
  one("[autofocus], .dialog-b input, .dialog-b select, .dialog-b button", node)?.focus();
  return node;
}

export function closePop() {
  popped?.();
}

// A list below the control that opened it; `make` gets `close`.
export function pop(anchor, label, make) {
  const wasOpen = popped && anchor.getAttribute("aria-expanded") === "true";
  closePop();
  if (wasOpen) return;
  const stop = new AbortController();
  const node = h("div", { class: "pop", role: "dialog", "aria-label": label });
  const close = () => {
    if (stop.signal.aborted) return;
    stop.abort();
    popped = null;
    const hadFocus = node.contains(document.activeElement);
    node.remove();
    anchor.setAttribute("aria-expanded", "false");
    if (hadFocus && anchor.isConnected) anchor.focus();
  };
  popped = close;
  fill(node, make(close));
  (anchor.closest("dialog") ?? document.body).append(node);
  const at = anchor.getBoundingClientRect();
  const left = Math.max(16, Math.min(at.left, innerWidth - node.offsetWidth - 16));
  const below = at.bottom + 4 + node.offsetHeight <= innerHeight;
  node.style.left = `${left}px`;
  node.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - 4 - node.offsetHeight)}px`;
  anchor.setAttribute("aria-expanded", "true");
  one("input, button, select", node)?.focus();
  node.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const options = all("button, input, label", node).filter((it) => it.tagName !== "LABEL");
    const index = options.indexOf(document.activeElement);
    if (event.key === "Escape") { event.stopPropagation(); close(); } else if (step && index >= 0 && document.activeElement.type !== "datetime-local") {
      event.preventDefault();
      options[(index + step + options.length) % options.length].focus();
    }
  });
  document.addEventListener("pointerdown", (event) => { if (!node.contains(event.target) && !anchor.contains(event.target)) close(); }, { signal: stop.signal });
  addEventListener("hashchange", close, { signal: stop.signal });
}

// A filter: off it opens its list, on it says its value and a click takes it away.
export function chip(text, value, { open, clear }) {
  if (value) {
    return h("button", { type: "button", class: "chip on", on: { click: clear } }, value, h("span", { class: "sr" }, ", take this filter away"), icon("cross"));
  }
  const node = h("button", { type: "button", class: "chip", "aria-haspopup": "dialog", "aria-expanded": "false" }, text, icon("chev"));
  node.addEventListener("click", () => pop(node, text, open));
  return node;
}

export const options = (list, choose) => h("div", { class: "opts" }, list.map(([value, text]) => h("button", { type: "button", on: { click: () => choose(value) } }, text)));

// A field of its own in a list below a chip.
export const askText = (label, { value = "", type = "text", help = null } = {}, done) => {
  const id = newId("ask");
  const input = h("input", { class: "in", id, type, value, autocomplete: "off" });
  return h("form", { class: "stack-2", on: { submit: (event) => { event.preventDefault(); if (input.value.trim()) done(input.value.trim()); } } },
    h("div", { class: "field" }, h("label", { for: id }, label), input, help && h("span", { class: "help" }, help)), h("button", { class: "btn", type: "submit" }, "Show"));
};

// Asks once before what can't be taken back.
export const confirm = (title, text, word, act) => dialog(title, (close) => ({
  body: [h("p", {}, text)],
  foot: [h("button", { type: "button", class: "btn", on: { click: close } }, "Cancel"), h("button", { type: "button", class: "btn danger solid", on: { click: () => { close(); act(); } } }, word)],
}));

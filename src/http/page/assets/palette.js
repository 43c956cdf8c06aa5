// Do anything: places, deeds and contacts by typing.
import { fill, foreign, h, icon, one } from "./dom.js";
import { get, isOvertaken } from "./api.js";
import * as session from "./session.js";
import { nameOrElse } from "./format.js";
import { go } from "./router.js";

const TYPED_MS = 120;
const PLACES = [["overview", "Overview", "home", session.can.look], ["contacts", "Contacts", "people", session.can.look], ["feed", "Live feed", "pulse", session.can.look], ["dead-letters", "Dead letters", "letter", session.can.letters], ["simulator", "Simulator", "flask", session.can.all], ["connections", "Connections", "plug", () => true]];

export function open() {
  if (one("dialog[open]")) return;
  const before = document.activeElement;
  let options = [], at = 0, asking = null, timer = 0;
  const list = h("div", { class: "pal", id: "pal-l", role: "listbox", "aria-label": "Found" });
  const input = h("input", { class: "pal-in", id: "pal", role: "combobox", "aria-expanded": "true", "aria-controls": "pal-l", autocomplete: "off", spellcheck: "false", "aria-autocomplete": "list", placeholder: "A contact, a place, or something to do" });
  const node = h("dialog", { class: "palette", "aria-label": "Do anything" }, h("label", { class: "sr", for: "pal" }, "Do anything"), input, list,
    h("div", { class: "dialog-f small mute" }, h("span", { class: "row" }, h("kbd", {}, "↑"), h("kbd", {}, "↓"), " choose"), h("span", { class: "row" }, h("kbd", {}, "Enter"), " open"), h("span", { class: "row push" }, h("kbd", {}, "Esc"), " close")));

  const mark = () => {
    options.forEach((it, i) => it.node.setAttribute("aria-selected", String(i === at)));
    if (options[at]) { input.setAttribute("aria-activedescendant", options[at].node.id); options[at].node.scrollIntoView({ block: "nearest" }); } else input.removeAttribute("aria-activedescendant");
  };
  const act = (it) => { node.close(); it.act(); };
  function group(title, entries) {
    if (!entries.length) return null;
    const id = `pg-${title}`;
    return h("div", { role: "group", "aria-labelledby": id }, h("h3", { id, role: "presentation" }, title), h("ul", { role: "presentation" }, entries.map((it) => {
      it.node = h("li", { role: "option", id: `po-${options.length}`, "aria-selected": "false", on: { click: () => act(it) } }, icon(it.mark), h("span", { class: "clip" }, it.text), it.about && h("span", { class: "mute clip" }, it.about));
      options.push(it);
      return it.node;
    })));
  }
  function draw(text, contacts) {
    options = [];
    const fits = (name) => name.toLowerCase().includes(text.toLowerCase());
    const first = contacts[0];
    const deeds = [
      session.can.edit() && { text: "New contact", mark: "plus", act: () => import("./contact_form.js").then((it) => it.openForm(null, { saved: (made) => go("contacts", { open: made.id }) })) },
      { text: "Light or dark", mark: "moon", act: () => one("#theme").click() }, { text: "Keys and help", mark: "help", act: () => one("#help").click() },
      { text: "Sign out", mark: "lock", act: () => session.signOut() },
    ].filter((it) => it && fits(it.text));
    if (text && first) {
      deeds.unshift({ text: ["Follow ", foreign(nameOrElse(first)), " in the live feed"], mark: "pulse", act: () => go("feed", { contact: first.id }) });
      if (session.can.all()) deeds.push({ text: ["Send a test event for ", foreign(nameOrElse(first))], mark: "flask", act: () => go("simulator", { contact: first.id }) });
    }
    if (text) deeds.push({ text: ["All contacts that begin with “", foreign(text), "”"], mark: "search", act: () => go("contacts", { q: text }) });
    const groups = [group("Contacts", contacts.map((it) => ({ text: foreign(nameOrElse(it)), about: foreign([it.company, it.email].filter(Boolean).join(" · ")), mark: "people", act: () => go("contacts", { open: it.id }) }))),
      group("Go to", PLACES.filter(([, name, , may]) => may() && fits(name)).map(([place, name, image]) => ({ text: name, mark: image, act: () => go(place) }))), group("Do", deeds)];
    fill(list, groups);
    at = 0;
    mark();
  }
  async function search() {
    asking?.abort();
    asking = new AbortController();
    const text = input.value.trim();
    if (!text || !session.can.look()) { draw(text, []); return; }
    try {
      const page = await get("api/contacts", { ...(/@.*\./.test(text) ? { email: text } : { q: text }), limit: 5 }, asking.signal);
      draw(text, page.data);
    } catch (error) { if (!isOvertaken(error)) draw(text, []); }
  }
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, TYPED_MS); });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); at = (at + step + options.length) % Math.max(options.length, 1); mark(); }
    if (event.key === "Enter") { event.preventDefault(); if (options[at]) act(options[at]); }
  });
  node.addEventListener("close", () => { asking?.abort(); node.remove(); if (before?.isConnected) before.focus(); });
  node.addEventListener("click", (event) => { if (event.target === node) node.close(); });
  document.body.append(node);
  draw("", []);
  node.showModal();
  input.focus();
}

// The keyboard: one table for what keys do and for what the dialog says of them.
import { h, one } from "./dom.js";
import { zone } from "./format.js";
import { closePop, dialog } from "./dialogs.js";
import { go } from "./router.js";

const SECOND_MS = 1000;
const PLACES = { o: ["overview", "Overview"], c: ["contacts", "Contacts"], f: ["feed", "Live feed"], d: ["dead-letters", "Dead letters"], s: ["simulator", "Simulator"], n: ["connections", "Connections"] };
const EVERYWHERE = [["Search contacts", "/"], ["Do anything", "Ctrl", "K"], ["These keys", "?"], ["Close, leave a field", "Esc"], ["Light or dark", "t"]];
const LISTS = [["Down, up", "j", "k"], ["Open", "Enter"], ["Next, previous tab", "→", "←"]];
const HERE = [["New contact", "n"], ["Edit the open one", "e"], ["Merge the open one", "x"], ["Redrive the open letter", "r"], ["Pause the feed", "Space"], ["Send or save", "Ctrl", "Enter"]];

let view = null, global = {}, pending = 0;
export const setView = (keys) => { view = keys; };

const single = () => localStorage.getItem("contactd.keys") !== "off";
export const setSingle = (on) => localStorage.setItem("contactd.keys", on ? "on" : "off");
export const isSingle = single;

export function help() {
  const part = (title, list) => h("section", {}, h("h3", {}, title), h("dl", {}, list.map(([name, ...keys]) => [h("dt", {}, name), h("dd", {}, keys.map((key) => h("kbd", {}, key)))])));
  const places = Object.entries(PLACES).filter(([, [place]]) => !one(`.nav [data-place="${place}"]`)?.hidden);
  dialog("Keys", () => ({ body: [
    h("div", { class: "keys" }, part("Everywhere", EVERYWHERE), part("Go to", places.map(([key, [, name]]) => [name, "g", key])), part("Lists", LISTS), part("Here", HERE)),
    h("p", { class: "small mute" }, `Times are those of this browser: ${zone()}. Single keys can be turned off in the account menu.`),
  ] }));
}

const isTyping = (target) => target.closest?.("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable]");

export function start(acts) {
  global = acts;
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); global.palette(); return; }
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      const form = event.target.closest?.("form");
      if (form) { event.preventDefault(); form.requestSubmit(); } else view?.send?.();
      return;
    }
    const inDialog = one("dialog[open]");
    if (event.key === "Escape" && !inDialog) {
      closePop();
      if (isTyping(event.target)) event.target.blur(); else view?.Escape?.();
      return;
    }
    if (one("#sign:not([hidden])") || inDialog || isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey || !single()) return;
    if (pending && Date.now() - pending < SECOND_MS) {
      pending = 0;
      const place = PLACES[event.key]?.[0];
      if (place && !one(`.nav [data-place="${place}"]`)?.hidden) { event.preventDefault(); go(place); }
      return;
    }
    pending = event.key === "g" ? Date.now() : 0;
    const onControl = event.target.closest?.("button, a, summary, input");
    const act = { "/": global.search, "?": help, t: global.theme }[event.key] ?? view?.[event.key === " " ? "Space" : event.key];
    if (!act || (onControl && [" ", "Enter"].includes(event.key))) return;
    event.preventDefault();
    act(event);
  });
}

// Followers: what each does, how far it is, and steering it.
import { foreign, h, mute, newId, strong } from "./dom.js";
import { call, get, post } from "./api.js";
import { count, span, timeText, timeWords, when, who } from "./format.js";
import { link } from "./router.js";
import { button, copy, deed, empty, every, load, msg, st } from "./ui.js";
import { confirm, dialog, note } from "./dialogs.js";
import * as session from "./session.js";

const ASK_MS = 3000;
const STATES = { running: ["ok", "following"], paused: ["idle", "paused", "pause"], stalled: ["warn", "retrying", "replay"], waiting: ["note", "waiting"], starting: ["note", "starting"] };
export const followerState = (it) => st(...(STATES[it.state] ?? ["idle", it.state]));
const path = (it, more = "") => `api/followers/${encodeURIComponent(it.name)}${more}`;

function replay(it, done) {
  const time = h("input", { class: "in", id: newId("rp"), type: "datetime-local", step: 1 });
  const position = h("input", { class: "in mono", id: newId("rp"), autocomplete: "off", value: "" });
  dialog(`Replay for ${it.name}`, (close) => ({
    body: [h("p", { class: "mid" }, "Changes from there on are delivered once more, in order. Receivers know them by their event ids. Name a time or a position."),
      h("div", { class: "form-2" }, h("div", { class: "field" }, h("label", { for: time.id }, "Records of then or later"), time), h("div", { class: "field" }, h("label", { for: position.id }, "Or a position"), position)),
      it.position && h("p", { class: "small mute" }, "It is at ", copy(it.position, "the position"))],
    foot: [button("Cancel", close), button("Replay", (event) => {
      const order = position.value.trim() ? { position: position.value.trim() } : { time: time.value ? new Date(time.value).toISOString() : "" };
      deed(event.currentTarget, () => post(path(it, "/replay"), order), () => { close(); note(`${it.name} begins again from there.`); done(); });
    }, { kind: "primary" })],
  }));
}

function parked(it, done) {
  const host = h("div", {});
  const draw = (page) => (page.data.length ? h("table", { class: "dense" }, h("caption", { class: "sr" }, "Parked changes"), h("thead", {}, h("tr", {}, ["Contact", "What was said", "When", "Do"].map((text, i) => h("th", { scope: "col", class: i === 2 ? "hide-s" : null }, text)))),
    h("tbody", {}, page.data.map((one) => h("tr", {}, h("td", {}, h("a", { href: link("contacts", { open: one.contact }) }, foreign(one.contact))), h("td", { class: "mid" }, foreign(one.why), ` (${one.attempts} tries)`), h("td", { class: "hide-s" }, when(one.at)),
      h("td", { class: "num nowrap" }, button("Again", (event) => deed(event.currentTarget, () => post(path(it, `/parked/${encodeURIComponent(one.id)}/redrive`)), ask), { kind: "small-b" }), " ", session.can.all() && button("Drop", (event) => deed(event.currentTarget, () => call("DELETE", path(it, `/parked/${encodeURIComponent(one.id)}`)), ask), { kind: "small-b danger" })))))) : h("p", { class: "mid" }, "Nothing is parked."));
  const ask = () => load(host, () => get(path(it, "/parked"), { limit: 100 }), draw, {});
  dialog(`Parked by ${it.name}`, () => ({ body: host }), { kind: "wide-w", onClose: done });
  ask();
}

function followerCard(it, again) {
  const steer = (word, said) => (event) => deed(event.currentTarget, () => post(path(it, `/${word}`)), () => { note(said, word === "pause" ? { text: "Resume", act: () => post(path(it, "/resume")).then(again, again) } : null); again(); });
  const skip = () => confirm(`Skip what ${it.name} owes`, `${count(it.waiting)} contacts wait for a delivery. They will not be told of these changes.`, "Skip them", async () => { await deed(null, () => post(path(it, "/skip"), {}), () => note("Skipped.")); again(); });
  const datum = (name, value, small, kind) => h("div", { class: kind }, h("dt", {}, name), h("dd", {}, value, small && h("small", {}, small)));
  const isPaused = Boolean(it.paused);
  return h("section", { class: "card fol", "aria-label": it.name },
    h("div", { class: "fol-h" }, h("div", { class: "grow-min" }, h("h2", { class: "clip" }, foreign(it.name)), h("p", { class: "small mute clip" }, it.about)), followerState(it),
      h("span", { class: "row tight-2" }, isPaused ? button("Resume", steer("resume", "It goes on."), { kind: "small-b", mark: "play" }) : button("Pause", steer("pause", `${it.name} is paused.`), { kind: "small-b", mark: "pause" }), button("Replay…", () => replay(it, again), { kind: "small-b", mark: "replay" }))),
    h("dl", { class: "fol-d" }, datum("Behind", it.lagRecords === null ? mute("–") : count(it.lagRecords), it.lagSeconds === null ? "another instance knows" : it.lagSeconds > 0 ? span(it.lagSeconds) : "up to date"),
      datum("Delivered", count(it.delivered), "since it started"), datum("Waiting", count(it.waiting), it.waiting && session.can.all() ? h("button", { type: "button", class: "copy", on: { click: skip } }, "skip") : "contacts"),
      datum("Parked", count(it.parked), it.parked ? h("button", { type: "button", class: "copy", on: { click: () => parked(it, again) } }, "look") : "changes"),
      datum("Overruns", count(it.overruns), it.overrunAt ? timeText(it.overrunAt) : "never", "hide-s")),
    (it.trouble || it.note || it.scanning || isPaused) && h("div", { class: "fol-n stack-2" },
      it.trouble && msg("warn retry", "warn", [strong(foreign(it.trouble.why), `, since ${timeText(it.trouble.since, { precise: true })}.`), h("span", { class: "mid" }, " It is tried again by itself. Contacts wait in order; the others’ changes are not held up.")]),
      it.note && h("p", { class: "small mute" }, foreign(it.note)),
      it.scanning && h("p", { class: "small mute" }, "It is telling all contacts: at the start, or after an overrun."),
      isPaused && h("p", { class: "small mute" }, `Paused by ${who(it.paused.by)}, ${timeWords(it.paused.at)}.`)));
}

export function showFollowers(host, signal) {
  const draw = (page) => (page.data.length ? h("div", { class: "stack" }, page.data.map((it) => followerCard(it, ask))) : h("div", { class: "card" }, empty({ mark: "plug", title: "Nothing follows yet", text: "Followers deliver what follows from changes: to Acme, to other systems. They are set up in the configuration." })));
  const ask = () => load(host, () => get("api/followers", { limit: 200 }, signal), draw, { signal, keep: host.children.length > 0 });
  ask();
  // What somebody is about to press stays where it is.
  every(ASK_MS, async () => { if (!host.contains(document.activeElement) && !host.matches(":hover")) await ask(); }, signal);
}

// One dead letter: its bytes, made safe, why it is here, and what can be done.
import { fill, foreign, h, icon, mute, plain, strong } from "./dom.js";
import { at, call, get, post } from "./api.js";
import * as session from "./session.js";
import { bytes, count, nameOrElse, timeText, timeWords, who, words } from "./format.js";
import { link } from "./router.js";
import { button, copy, deed, load, msg, pairs, seg, st } from "./ui.js";
import { confirm, note } from "./dialogs.js";
import { adviceOf } from "./advice.js";
import { asHex, asText, fromBase64 } from "./bytes.js";

const ASK_MS = 500;
const path = (id) => `api/dead-letters/${encodeURIComponent(id)}`;

export async function untilRun(job, signal) {
  let now = job;
  while (["running", "interrupted"].includes(now.state) && !signal?.aborted) {
    await new Promise((done) => setTimeout(done, ASK_MS));
    now = await get(`api/dead-letters/redrives/${encodeURIComponent(now.id)}`, null, signal);
  }
  return now;
}

export function openLetter({ host, id, step, close, changed }) {
  const stop = new AbortController();
  const { signal } = stop;
  let letter = null;
  const top = h("div", { class: "panel-h" }), body = h("div", { class: "panel-b", tabindex: 0, "aria-label": "Letter", role: "group" }), foot = h("div", { class: "panel-f" });
  const node = h("aside", { class: "panel", "aria-label": `Dead letter ${id}` }, top, body, foot);
  host.append(node);
  const heading = h("h2", { class: "title mono-t clip", tabindex: -1 }, id);
  const line = h("p", { class: "small mute row" });
  fill(top, h("div", { class: "row" }, h("div", { class: "grow-min" }, heading, line), h("span", { class: "push row tight" },
    button("", () => step(-1), { kind: "quiet icon hide-s", mark: "left", label: "Letter before", keys: "k" }), button("", () => step(1), { kind: "quiet icon hide-s", mark: "right", label: "Letter after", keys: "j" }), button("", close, { kind: "quiet icon", mark: "cross", label: "Close", keys: "Escape" }))), h("span", { class: "pb" }));

  function value() {
    if (!letter.value) return [h("div", { class: "row bytes-h" }, h("h3", {}, "Value")), h("p", { class: "mid" }, "The record has no value.")];
    const raw = fromBase64(letter.value.base64), bad = new Set();
    const box = h("pre", { class: "code", tabindex: 0, "aria-label": "Value, made safe" }, asText(raw, bad));
    const show = (kind) => {
      box.classList.toggle("hex", kind === "hex");
      fill(box, kind === "hex" ? asHex(raw, bad) : asText(raw));
      const place = Number(/byte (\d+)/.exec(letter.detail)?.[1]);
      if (kind === "hex" && place > 256) box.scrollTop = box.scrollHeight * (place / raw.length) - 40;
    };
    const save = () => {
      const file = URL.createObjectURL(new Blob([raw]));
      h("a", { href: file, download: `${id.replaceAll(":", "-")}.bin` }).click();
      setTimeout(() => URL.revokeObjectURL(file), 1000);
    };
    const about = letter.valueTruncated ? `the first ${bytes(raw.length)} of ${bytes(letter.valueLength)}` : `${count(letter.valueLength)} bytes`;
    return [h("div", { class: "row bytes-h" }, h("h3", {}, "Value"), h("span", { class: "small mute" }, `${about} · xxh3 ${letter.valueXxh3.slice(0, 8)}…`), h("span", { class: "push" }, seg("How to show the bytes", [["text", "Text"], ["hex", "Hex"]], "text", show))), box,
      h("p", { class: "small mute" }, "Control and invisible characters are shown as ", h("span", { class: "ctl" }, "\\u{…}"), ", bytes that are not UTF-8 as ", h("span", { class: "bytebad" }, "\\x…"), ". Nothing of it is run or followed. ", h("button", { type: "button", class: "copy", on: { click: save } }, "Download as it came"))];
  }

  const shortBytes = (it) => (it === null ? mute("none") : it.text === null ? `${count(fromBase64(it.base64).length)} bytes, not text` : foreign(it.text));
  function draw() {
    fill(line, st("bad", words(letter.reason)), h("span", {}, `kept ${timeText(letter.keptAt, { precise: true })}`), h("span", { class: "hide-s" }, timeWords(letter.keptAt)));
    const owner = h("span", { class: "push small" });
    const key = letter.key?.text;
    fill(body, msg("bad", "stop", [strong(foreign(letter.detail)), h("br"), h("span", { class: "mid" }, adviceOf(letter.reason))]), value(),
      h("h3", { class: "sec" }, "Key"), letter.key ? h("p", { class: "row" }, key ? copy(key, "the key") : shortBytes(letter.key), owner) : h("p", { class: "mid" }, "The record has no key."),
      h("h3", { class: "sec" }, "Headers"), letter.headers.length ? h("table", { class: "dense plain-t" }, h("caption", { class: "sr" }, "Headers"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Name"), h("th", { scope: "col" }, "Value"))), h("tbody", {}, letter.headers.map((it) => h("tr", {}, h("td", { class: "mono" }, foreign(it.name)), h("td", { class: "mono mid clip" }, shortBytes(it.value)))))) : h("p", { class: "small mute" }, "It came without any."),
      h("h3", { class: "sec" }, "What was done"), pairs([["Redriven from here", letter.redriven ? `${count(letter.redriven)} times, last by ${who(letter.lastRedrive.by)} ${timeWords(letter.lastRedrive.at)}` : "never"], letter.discarded && ["Discarded", `by ${who(letter.discarded.by)} ${timeWords(letter.discarded.at)}`], ["Hops before", count(letter.hops)], ["Record’s own time", letter.recordedAt ? timeText(letter.recordedAt, { precise: true }) : "unknown"]].filter(Boolean), "left"));
    if (key) get(`api/contacts/${encodeURIComponent(key)}`, null, signal).then((it) => fill(owner, h("a", { href: link("contacts", { open: it.id }) }, foreign(nameOrElse(it)))), () => null);
    const canAct = session.can.operate();
    fill(foot, canAct && button("Redrive", redrive, { kind: "primary", mark: "replay", keys: "r", disabled: !letter.redrivable || letter.status === "discarded", title: letter.redrivable ? null : "Control records are not redriven" }),
      button("Copy as curl", () => navigator.clipboard.writeText(`curl -H "Authorization: Bearer $TOKEN" '${at(path(id))}'`).then(() => note("Copied; TOKEN is for you to put in."), () => note("The browser does not let this page copy.")), { kind: "hide-s" }),
      session.can.all() && letter.status !== "discarded" && button("Discard", discard, { kind: "danger push", mark: "bin" }), !canAct && h("span", { class: "small mute" }, "An operator can redrive it, an admin can discard it too."));
  }

  async function redrive() {
    if (!session.can.operate() || !letter?.redrivable) return;
    await deed(foot.firstChild, async () => untilRun((await post(`api/dead-letters/redrive/${encodeURIComponent(id)}`)).data, signal), async (job) => {
      note(job.counts.done ? "It is on the contact log again. If it still can’t be applied it comes back as a new letter." : `It was not redriven: ${job.why ?? job.state}.`);
      await show();
      changed();
    });
  }
  const discard = () => confirm("Discard this letter", "It stays in the archive until that is full, and no redrive takes it.", "Discard it", () => deed(null, () => call("DELETE", path(id), { signal }), async () => { note("It is discarded."); await show(); changed(); }));

  async function show() {
    await load(body, async () => { letter = await get(path(id), null, signal); return letter; }, () => null, { signal, keep: Boolean(letter) });
    if (letter && !signal.aborted) draw();
  }
  heading.focus({ preventScroll: true });
  show();
  return { id, redrive, close() { stop.abort(); node.remove(); } };
}

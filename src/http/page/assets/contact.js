// One contact beside the list: its fields and why each says so, its history, and what can be done.
import { fill, foreign, h, icon, mute, one, plain, strong } from "./dom.js";
import { call, get, isOvertaken } from "./api.js";
import * as session from "./session.js";
import { FIELDS, dayText, fieldName, initials, middle, nameOrElse, shown, timeText, timeWords, when } from "./format.js";
import { turn } from "./router.js";
import { button, copy, deed, load, pairs, refusal, st, tabs } from "./ui.js";
import { dialog, note } from "./dialogs.js";
import { LATE_MS, author, historyOf, label, lateMs, origins } from "./history.js";
import { drawHistory } from "./contact_history.js";
import { asJson } from "./bytes.js";
import { openForm } from "./contact_form.js";

const APPLIED_MS = 1000;
const STORY_MAX = 8;
const path = (id) => `api/contacts/${encodeURIComponent(id)}`;

// Asks what became of a write that is kept and not applied yet, until it is.
export async function untilApplied(eventId, signal) {
  for (;;) {
    await new Promise((done) => setTimeout(done, APPLIED_MS));
    if (signal?.aborted) return null;
    const event = await get(`api/events/${encodeURIComponent(eventId)}`, null, signal).catch((error) => { if (error.status === 404) return { status: "pending" }; throw error; });
    if (event.status !== "pending") return event;
  }
}

export function openContact({ host, id, params, title, known, step, close, changed, gone }) {
  const stop = new AbortController();
  const { signal } = stop;
  let contact = known ?? null, etag = null, reader = historyOf(id, signal), stories = null, tab = params.tab ?? "fields";
  const top = h("div", { class: "panel-h" });
  const body = h("div", { class: "panel-b", role: "tabpanel", id: "tab-panel", tabindex: 0 });
  const foot = h("div", { class: "panel-f" });
  const node = h("aside", { class: "panel", "aria-label": "Contact" }, top, body, foot);
  host.append(node);

  function drawTop() {
    const name = contact ? nameOrElse(contact) : id;
    title(plain(name));
    node.setAttribute("aria-label", `Contact ${plain(name)}`);
    const heading = h("h2", { class: "title clip", tabindex: -1 }, foreign(name, { title: plain(name) }));
    const isDeleted = contact?.status === "DELETED";
    const line = h("p", { class: "small mute row" }, contact && [isDeleted ? st("bad", "deleted", "bin") : st("ok", "active"), h("span", {}, `version ${contact.version}`),
      contact.changedAt && h("span", { class: "hide-s" }, `changed ${timeWords(contact.changedAt)}`, contact.source && ` by ${plain(contact.source)}`)]);
    const nav = h("span", { class: "push row tight" },
      button("", () => step(-1), { kind: "quiet icon hide-s", mark: "left", label: "Contact before", keys: "k" }),
      button("", () => step(1), { kind: "quiet icon hide-s", mark: "right", label: "Contact after", keys: "j" }),
      button("", close, { kind: "quiet icon", mark: "cross", label: "Close", keys: "Escape" }));
    fill(top, h("div", { class: "row" }, h("div", { class: "face big", "aria-hidden": "true" }, contact ? initials(contact) : "–"), h("div", { class: "grow-min" }, heading, line), nav),
      tabs(plain(name), [["fields", "Fields"], ["history", "History", contact?.version], ["json", "Raw JSON"]], tab, (key) => turn({ tab: key === "fields" ? null : key }, { replace: true })));
    body.setAttribute("aria-labelledby", `tab-${tab}`);
    return heading;
  }

  function drawFoot() {
    const isDeleted = contact.status === "DELETED";
    const may = session.can.edit();
    fill(foot,
      may && !isDeleted && button("Edit", edit, { kind: "primary", mark: "edit", keys: "e" }),
      may && isDeleted && button("Restore", (event) => restore(event.currentTarget), { kind: "primary", mark: "replay" }),
      may && !isDeleted && button("Merge", merge, { mark: "merge" }),
      button("Export", (event) => save(event.currentTarget), { kind: "hide-s", mark: "down" }),
      session.can.all() && button("Erase…", erase, { kind: "quiet hide-s" }),
      may && !isDeleted && button("Delete", (event) => remove(event.currentTarget), { kind: "danger push", mark: "bin" }));
  }

  // ---- why does it say that
  const storyLine = ({ change, value }, isNewest) => {
    const text = value === null || value === undefined ? mute("empty") : foreign(shown(value), { class: "breakall" });
    const came = change.timestamp ? `event happened ${timeText(change.timestamp, { precise: true })}, came ${timeText(change.recordedAt, { precise: true })}` : `came ${timeText(change.recordedAt, { precise: true })}`;
    return h("li", {}, h("i"), h("span", {}, text, h("br"), h("span", { class: "mute", title: change.recordedAt }, foreign(author(change)), change.principal ? `, over the API · ${timeText(change.recordedAt, { precise: true })}` : ` · ${came}`,
      isNewest && " · ", isNewest ? copy(change.eventId, "the event id", middle(plain(change.eventId), 12, 0)) : null)));
  };

  function why(name) {
    const story = stories?.[name];
    if (!stories) return h("p", { class: "small mid" }, "The history is being read.");
    if (!story?.length) return h("p", { class: "small mid" }, reader.isWhole ? "Nothing has ever set it." : "Set before history begins.");
    const [newest] = story;
    const by = author(newest.change);
    const late = lateMs(newest.change) > LATE_MS ? " It came late." : "";
    const first = story.length === 1 && newest.change.version === 1;
    return [h("p", {}, strong("Because ", foreign(by), ` said so ${timeWords(newest.change.timestamp ?? newest.change.recordedAt)}`), first ? ", with the event that made the contact, and nothing newer has set it." : ", and nothing newer has set it.", late),
      h("ol", { class: "small" }, story.slice(0, STORY_MAX).map((entry, i) => storyLine(entry, i === 0))), story.length > STORY_MAX && h("p", { class: "small mute" }, `and ${story.length - STORY_MAX} older ones, in the history`)];
  }

  function fieldRow(name, value) {
    const whyId = `why-${label(name).replace(/\W/g, "-")}`;
    const story = stories?.[name];
    const source = !stories ? "" : story?.length ? [foreign(author(story[0].change)), h("span", { class: "hide-s" }, ` · ${dayText(story[0].change.recordedAt)}`)] : reader.isWhole ? "" : "before history";
    const isText = typeof value === "string";
    const box = h("div", { class: "why", id: whyId, hidden: true });
    const row = h("button", { class: "f-row", type: "button", "aria-expanded": "false", "aria-controls": whyId },
      h("span", { class: "k" }, FIELDS.includes(name) ? fieldName(name) : foreign(label(name))),
      h("span", { class: "breakall" }, value === null || value === undefined ? mute("–") : foreign(shown(value), { class: isText ? null : "jn" })), h("span", { class: "src" }, source), icon("right"));
    row.addEventListener("click", () => {
      const isOpen = row.getAttribute("aria-expanded") !== "true";
      row.setAttribute("aria-expanded", String(isOpen));
      if (isOpen) fill(box, why(name));
      box.hidden = !isOpen;
    });
    return [row, box];
  }

  function drawFields() {
    const attributes = Object.entries(contact.attributes);
    const ids = Object.entries(contact.externalIds ?? {});
    fill(body, h("div", { class: "f-list" }, FIELDS.map((name) => fieldRow(name, contact[name]))),
      attributes.length > 0 && [h("h3", { class: "sec" }, "Attributes"), h("div", { class: "f-list" }, attributes.map(([name, value]) => fieldRow(`attributes.${name}`, value)))],
      h("div", { class: "row sec" }, h("h3", {}, "Ids at sources"), session.can.edit() && contact.status !== "DELETED" && h("span", { class: "push" }, button("Link an id", linkId, { kind: "small-b" }))),
      ids.length ? pairs(ids.map(([source, other]) => [foreign(source), h("span", { class: "row" }, copy(plain(other), "the id"), session.can.edit() && button("Unlink", (event) => unlink(event.currentTarget, source), { kind: "small-b push", label: `Unlink ${plain(source)}` }))]), "left") : h("p", { class: "small mute" }, "No source has an id of its own for it."),
      h("h3", { class: "sec" }, "Record"),
      pairs([["Id", copy(contact.id, "the id")], ["Made", contact.createdAt ? when(contact.createdAt, { precise: true }) : mute("unknown")],
        ["Version at the source", contact.sourceVersion ?? mute("none")], etag && ["ETag", copy(etag.replaceAll("\"", ""), "the ETag")]].filter(Boolean), "left"));
  }

  function draw() {
    if (!contact) return;
    if (tab === "history") drawHistory(body, reader, { signal, contact });
    else if (tab === "json") {
      fill(body, h("div", { class: "row jsonh" }, h("h3", {}, "As the API has it"), h("span", { class: "push row" }, copy(JSON.stringify(contact, null, 2), "the JSON", "Copy"))), h("pre", { class: "code", tabindex: 0, "aria-label": "The contact as JSON" }, asJson(contact)));
    } else drawFields();
  }

  async function read() {
    const answer = await call("GET", path(id), { signal }).catch((error) => {
      if (error.status !== 404) throw error;
      return call("GET", path(id), { query: { includeDeleted: true }, signal });
    });
    contact = answer.data;
    etag = answer.etag;
  }

  async function show() {
    await load(body, async () => { await read(); return contact; }, () => null, { signal, rows: 8, keep: Boolean(contact) });
    if (signal.aborted || !etag) return;
    drawTop();
    drawFoot();
    draw();
    try {
      stories = await origins(reader, contact);
      // What is open stays open.
      if (!signal.aborted && tab === "fields" && !one("[aria-expanded=true]", body)) drawFields();
    } catch (error) {
      if (!isOvertaken(error)) note(`The history could not be read: ${refusal(error)}`);
    }
  }

  async function again(now) {
    reader = historyOf(id, signal);
    stories = null;
    await show();
    if (!signal.aborted) changed(now ?? contact);
  }

  // ---- deeds
  async function written(answer, done) {
    if (answer.status === 202) {
      note("Kept, not applied yet: the log answers slowly. This line goes when it is.");
      const event = await untilApplied(answer.data.eventId, signal);
      if (event && !["applied", "unchanged", "duplicate"].includes(event.status)) { note(`It was not done: ${event.status}.`); return; }
    }
    await again();
    note(done.text, done.deed);
  }

  const remove = (target) => deed(target, () => call("DELETE", path(id), { headers: { "If-Match": etag }, signal }), (answer) => written(answer, { text: `${plain(nameOrElse(contact))} is deleted.`, deed: { text: "Restore", act: () => restore(null) } }));
  const restore = (target) => deed(target, () => call("POST", `${path(id)}/restore`, { signal }), (answer) => written(answer, { text: `${plain(nameOrElse(contact))} is back.` }));
  const unlink = (target, source) => deed(target, () => call("DELETE", `${path(id)}/links/${encodeURIComponent(source)}`, { headers: { "If-Match": etag }, signal }), (answer) => written(answer, { text: "The id is no longer linked." }));

  function linkId() {
    const source = h("input", { class: "in", id: "ln-s", required: true, autocomplete: "off" });
    const other = h("input", { class: "in", id: "ln-i", required: true, autocomplete: "off" });
    dialog("Link an id", (done) => {
      const form = h("form", { class: "stack-3", id: "link-form", on: { submit: (event) => {
        event.preventDefault();
        deed(event.submitter, () => call("POST", `${path(id)}/links`, { body: { source: source.value.trim(), id: other.value.trim() }, headers: { "If-Match": etag }, signal }), (answer) => { done(); return written(answer, { text: "The id is linked." }); });
      } } }, h("p", { class: "mid" }, "What a source calls this contact: events that name its id go to this one."),
      h("div", { class: "form-2" }, h("div", { class: "field" }, h("label", { for: "ln-s" }, "Source"), source), h("div", { class: "field" }, h("label", { for: "ln-i" }, "Its id there"), other)));
      return { body: form, foot: [button("Cancel", done), h("button", { class: "btn primary", type: "submit", form: "link-form" }, "Link")] };
    });
  }

  function edit() {
    if (!session.can.edit() || !contact || contact.status === "DELETED" || !etag) return;
    openForm(contact, { etag, saved: async (_, answer) => written(answer, { text: `${plain(nameOrElse(contact))} is saved.` }) });
  }

  async function merge(other) {
    if (!session.can.edit() || !contact || contact.status === "DELETED") return;
    const { openMerge } = await import("./merge.js");
    openMerge(contact, { etag, other: typeof other === "string" ? other : null, merged: async (survivor) => { if (survivor !== id) turn({ open: survivor }); else await again(); note("The two are merged."); } });
  }

  function erase() {
    const typed = h("input", { class: "in mono", id: "er-id", autocomplete: "off" });
    const go = button("Erase for good", (event) => deed(event.currentTarget, () => call("DELETE", path(id), { query: { erase: true }, signal }), () => { box.close(); note("The contact is erased, with its history."); gone(); }), { kind: "danger solid", disabled: true });
    typed.addEventListener("input", () => { go.disabled = typed.value.trim() !== id; });
    const box = dialog("Erase this contact", (done) => ({
      body: [h("p", {}, strong("This can’t be taken back."), " What was said of it is taken from every list, history and feed; records that come for it meanwhile are not kept."),
        h("div", { class: "field" }, h("label", { for: "er-id" }, "Type its id"), typed, h("span", { class: "help mono" }, id))],
      foot: [button("Cancel", done), go],
    }));
  }

  function save(target) {
    deed(target, async () => {
      while (!reader.isWhole && !reader.isAtBound) await reader.more();
      const text = JSON.stringify({ contact, history: reader.list, historyIsWhole: reader.isWhole }, null, 2);
      const file = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      const at = h("a", { href: file, download: `contact-${id.replace(/[^\w.-]/g, "_")}.json` });
      at.click();
      setTimeout(() => URL.revokeObjectURL(file), 1000);
    });
  }

  const heading = drawTop();
  if (contact) { drawFoot(); draw(); }
  heading.focus({ preventScroll: true });
  show();
  return {
    id,
    edit,
    merge,
    update(now) {
      const next = now.tab ?? "fields";
      if (next === tab) return;
      tab = next;
      drawTop();
      draw();
    },
    close() { stop.abort(); node.remove(); },
  };
}

// A contact's history as before and after, newest first, filtered by field and source.
import { fill, foreign, h, icon, mute, plain, strong } from "./dom.js";
import { count, fieldName, shown, span, timeText } from "./format.js";
import { button, copy, load } from "./ui.js";
import { chip, options } from "./dialogs.js";
import { LATE_MS, author, label, lateMs } from "./history.js";

const value = (it) => (it === null || it === undefined ? null : foreign(shown(it)));

export const beforeAfter = (changes) => h("dl", { class: "diff" }, changes.map(({ name, before, after }) => {
  const one = value(before), other = value(after);
  return [h("dt", {}, name in { firstName: 1, lastName: 1, email: 1, phone: 1, company: 1, title: 1, status: 1 } ? fieldName(name) : foreign(label(name))),
    h("dd", {}, one ? h("del", {}, one) : mute("empty"), icon("arrow", "mute-i"), other ? h("ins", {}, other) : mute("empty"))];
}));

// What a change was, in a few words.
function told(change, changes) {
  const by = foreign(author(change));
  const over = change.principal ? ", over the API" : "";
  const kind = change.eventType.replace("contact.", "");
  if (kind === "deleted") return { mark: "bin", kind: "dele", text: [by, ` deleted the contact${over}`] };
  if (kind === "restored") return { mark: "replay", kind: "ok", text: [by, ` restored the contact${over}`] };
  if (change.version === 1) return { mark: "plus", kind: "ok", text: [by, ` made the contact${over}`] };
  const number = changes ? `${count(changes.length)} ${changes.length === 1 ? "field" : "fields"}` : "it";
  return { mark: "dot", kind: "", text: [by, ` changed ${number}${over}`] };
}

function entry(change, changes, isNewest) {
  const { mark, kind, text } = told(change, changes);
  const at = change.timestamp ?? change.recordedAt;
  const late = lateMs(change);
  return h("li", {}, icon(mark, `pt ${isNewest && !kind ? "new" : kind}`),
    h("div", { class: "row" }, strong(text), h("time", { class: "push mute small nowrap", datetime: at, title: at }, timeText(at, { precise: true }))),
    changes ? (changes.length ? beforeAfter(changes) : h("p", { class: "small mute" }, "No field changed; the source said the same again.")) : h("p", { class: "small mute" }, "What was before is not kept any more."),
    h("p", { class: "meta" }, h("span", {}, `version ${change.version}`), h("span", {}, `partition ${change.partition}, offset ${count(change.offset)}`), copy(plain(change.eventId), "the event id"),
      change.requestId && h("span", {}, "request ", copy(change.requestId, "the request id")), late > LATE_MS ? h("span", {}, `came ${span(late / 1000)} late`) : null));
}

export function drawHistory(host, reader, { signal }) {
  let field = null, source = null;
  const chips = h("div", { class: "row wrap hist-f" });
  const list = h("ol", { class: "hist" });
  const foot = h("div", { class: "row" });
  const draw = () => {
    const entries = reader.list.map((change, i) => ({ change, changes: reader.at(i), place: i }));
    const fields = [...new Set(entries.flatMap(({ changes }) => (changes ?? []).map((it) => it.name)))];
    const sources = [...new Set(reader.list.map(author))];
    fill(chips,
      chip("Any field", field && label(field), { open: () => options(fields.map((it) => [it, fieldName(label(it))]), (it) => { field = it; draw(); }), clear: () => { field = null; draw(); } }),
      chip("Any source", source, { open: () => options(sources.map((it) => [it, plain(it)]), (it) => { source = it; draw(); }), clear: () => { source = null; draw(); } }),
      h("span", { class: "push small mute" }, "newest first"));
    const fits = ({ change, changes }) => (!source || author(change) === source) && (!field || (changes ?? []).some((it) => it.name === field));
    const chosen = entries.filter(fits);
    fill(list, chosen.map(({ change, changes, place }) => entry(change, changes, place === 0)), chosen.length === 0 && h("li", { class: "gap-l" }, "Nothing of what is loaded fits."));
    fill(foot, reader.isWhole ? mute("That is all that is kept.") : button("Load older changes", async () => { await reader.more(); draw(); }));
  };
  fill(host, chips, list, foot);
  if (reader.list.length) { draw(); return; }
  load(list, async () => { await reader.more(); return reader; }, () => null, { signal }).then((done) => { if (done) draw(); });
}

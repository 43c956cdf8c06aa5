// Changes as they are applied, newest first; bounded in what is kept and how often it is drawn.
import { fill, foreign, h, icon, mute, plain } from "./dom.js";
import { at, get } from "./api.js";
import { line } from "./chart.js";
import { clockText, count, fieldName, middle, millisText, nameOrElse, timeText } from "./format.js";
import { link, turn } from "./router.js";
import { button, copy, empty, failureCard, head } from "./ui.js";
import { askText, chip, note } from "./dialogs.js";
import { difference, label } from "./history.js";
import { follow } from "./stream.js";

const ROWS_MAX = 500;
const WAITING_MAX = 10_000;
const SEEN_MAX = 2000;
const DRAW_MS = 100;
const CLOSE_HIDDEN_MS = 60_000;
const RATE_S = 60;
const TOP_PX = 120;
const TYPES = [["created", "plus"], ["updated", "edit"], ["deleted", "bin"], ["restored", "replay"], ["erased", "cross"]];
const MARKS = { created: ["add", "plus"], updated: ["upd", "edit"], deleted: ["rem", "bin"], restored: ["add", "replay"], erased: ["rem", "cross"], succeeded: ["add", "plus"], failed: ["rem", "cross"], refunded: ["upd", "replay"] };

export function open({ main, params: first, signal }) {
  let params = first, rows = [], waiting = [], waitingMore = 0, isPaused = false, pausedAt = null, stop = null, position = null, state = "connecting", hiddenTimer = 0, drawTimer = 0, chosen = null;
  const seen = new Map();
  const rates = Array.from({ length: RATE_S }, () => 0);
  const mini = h("div", { class: "chart" });
  const toggle = button("Pause", () => setPaused(!isPaused), { kind: "primary", mark: "pause", keys: "Space" });
  const heading = head("Live feed", "connecting", h("div", { class: "mini-chart hide-s" }, mini), button("Copy as curl", copyCurl, { kind: "quiet hide-s", mark: "file" }), toggle);
  const chips = h("div", { class: "row wrap chips", role: "group", "aria-label": "Filters" });
  const more = h("button", { type: "button", class: "more-new", hidden: true, on: { click: () => { setPaused(false); scrollTo({ top: 0 }); takeWaiting(); } } });
  const body = h("tbody", { "aria-live": "off" });
  const table = h("table", { class: "rows fix feed feed-t" }, h("caption", { class: "sr" }, "Changes, newest first"), h("thead", {}, h("tr", {}, [["hide-s w-t", "Came"], ["w-op", "What"], ["", "Contact"], ["hide-s", "Company"], ["hide-s", "Changed"], ["w-src", "Source"], ["num hide-s w-v", "Version"], ["num hide-s w-p", "Position"]].map(([kind, text]) => h("th", { class: kind, scope: "col" }, text)))), body);
  const nothing = h("div", {}), foot = h("div", { class: "foot" }), failed = h("div", {});
  const card = h("div", { class: "card" }, more, table, nothing, foot);
  fill(main, heading, h("div", { class: "stack-3" }, chips, failed, card));

  const types = () => (params.type ?? "").split(",").filter(Boolean);
  const isHeld = () => isPaused || scrollY > TOP_PX;

  function drawChips() {
    const on = types();
    fill(chips, TYPES.map(([type, mark]) => {
      const isOn = on.includes(type);
      const next = isOn ? on.filter((it) => it !== type) : [...on, type];
      return h("button", { type: "button", class: `chip ${isOn ? "on" : ""}`, "aria-pressed": String(isOn), on: { click: () => turn({ type: next.join(",") }, { replace: true }) } }, icon(mark), type);
    }),
    chip("Contact", params.contact && `Contact ${params.contact.slice(0, 8)}…`, { open: () => askText("Contact’s id", {}, (value) => turn({ contact: value }, { replace: true })), clear: () => turn({ contact: null }, { replace: true }) }),
    chip("From a position", params.after && "From a position", { open: () => askText("Position", { help: "As answers and this feed name them." }, (value) => turn({ after: value }, { replace: true })), clear: () => turn({ after: null }, { replace: true }) }),
    h("span", { class: "push small mute hide-s" }, `keeps the last ${ROWS_MAX}`));
  }

  function changed(contact, type) {
    const before = seen.get(contact.id);
    seen.delete(contact.id);
    seen.set(contact.id, contact);
    if (seen.size > SEEN_MAX) seen.delete(seen.keys().next().value);
    if (type === "created") return ["everything"];
    if (!before || before.version !== contact.version - 1) return null;
    return difference(before, contact).map((it) => fieldName(label(it.name)).toLowerCase());
  }

  // A payment is shown by what it comes to, and leads to its contact.
  const ofPayment = (type, payment, change) => ({ type: type.replace("payment.", ""), id: payment.contactId, name: payment.amount ? `${(payment.amount / 10 ** payment.exponent).toFixed(payment.exponent)} ${payment.currency}` : "Payment", company: payment.description, version: payment.version, change, fields: [payment.status.toLowerCase().replaceAll("_", " ")], node: null });

  function push(type, { contact, payment, change }) {
    const row = payment ? ofPayment(type, payment, change) : { type: type.replace("contact.", ""), id: contact.id, name: nameOrElse(contact), company: contact.company, version: contact.version, change, fields: changed(contact, type.replace("contact.", "")), node: null };
    rates[rates.length - 1] += 1;
    if (isHeld() && rows.length) {
      waiting.push(row);
      if (waiting.length > ROWS_MAX) { waiting.shift(); waitingMore += 1; }
    } else rows.unshift(row);
    soon();
  }

  function takeWaiting() {
    if (!waiting.length) return;
    rows = [...waiting.reverse(), ...rows];
    waiting = [];
    waitingMore = 0;
    soon();
  }

  function drawRow(row) {
    if (row.gap) return h("tr", { class: "gap-row" }, h("td", { colspan: 8 }, row.gap));
    const [kind, mark] = MARKS[row.type] ?? MARKS.updated;
    const href = link("contacts", { open: row.id, tab: "history" });
    const fields = h("span", { class: "ringed" });
    const drawFields = () => fill(fields, row.fields ? row.fields.slice(0, 4).map((it) => h("span", { class: "tag" }, plain(it))) : mute("–"), row.fields?.length > 4 && h("span", { class: "tag" }, `${row.fields.length - 4} more`));
    drawFields();
    const node = h("tr", { "aria-selected": row === chosen ? "true" : null },
      h("td", { class: "t hide-s" }, h("time", { datetime: row.change.recordedAt, title: row.change.recordedAt }, millisText(row.change.recordedAt))),
      h("td", { class: "keep" }, h("span", { class: `op ${kind}` }, icon(mark), row.type)),
      h("td", {}, h("a", { class: "cell clip", href }, foreign(row.name)), h("span", { class: "sub clip only-s" }, clockText(row.change.recordedAt), row.fields?.length ? ` · ${plain(row.fields.join(", "))}` : "")),
      h("td", { class: "mid hide-s" }, row.company ? foreign(row.company) : mute("–")), h("td", { class: "hide-s" }, fields), h("td", { class: "mid keep" }, foreign(row.change.source)),
      h("td", { class: "num mid hide-s" }, row.version), h("td", { class: "num mute mono hide-s" }, `${row.change.partition}:${row.change.offset}`));
    node.addEventListener("click", (event) => { if (!event.target.closest("a")) location.hash = href; });
    if (!row.fields) {
      node.addEventListener("pointerenter", async () => {
        if (row.fields) return;
        const page = await get(`api/contacts/${encodeURIComponent(row.id)}/history`, { limit: 50 }, signal).catch(() => null);
        const place = page?.data.findIndex((it) => it.version === row.version) ?? -1;
        if (place < 0 || !page.data[place + 1]) return;
        row.fields = difference(page.data[place + 1].contact, page.data[place].contact).map((it) => fieldName(label(it.name)).toLowerCase());
        drawFields();
      }, { once: true });
    }
    return node;
  }

  const soon = () => { drawTimer ||= setTimeout(() => { drawTimer = 0; if (!signal.aborted) draw(); }, DRAW_MS); };
  function draw() {
    if (!isHeld()) takeWaitingNow();
    rows.length = Math.min(rows.length, ROWS_MAX);
    // Only what is new is made; the rest stays, and what is beyond the bound goes.
    let next = body.firstChild;
    for (const row of rows) {
      row.node ??= drawRow(row);
      if (row.node === next) next = next.nextSibling; else body.insertBefore(row.node, next);
    }
    while (body.children.length > rows.length) body.lastChild.remove();
    const number = waiting.length + waitingMore;
    more.hidden = number === 0;
    if (number) fill(more, icon("up"), `${isPaused ? `Paused at ${clockText(pausedAt)}. ` : ""}${number > WAITING_MAX ? `More than ${count(WAITING_MAX)}` : count(number)} newer ${number === 1 ? "change waits" : "changes wait"}`);
    table.hidden = rows.length === 0;
    fill(nothing, rows.length === 0 && empty({ mark: "pulse", title: "Nothing has changed since this page was opened", text: "Changes show up here the moment they are applied." }));
    drawFoot();
  }
  function takeWaitingNow() {
    if (!waiting.length) return;
    rows = [...waiting.reverse(), ...rows];
    waiting = [];
    waitingMore = 0;
  }

  function drawFoot() {
    heading.about(isPaused ? "paused" : state);
    fill(foot, position ? h("span", { class: "clip" }, "Following from ", copy(position, "the position", middle(position, 20, 8))) : h("span", {}, state), h("span", { class: "push hide-s" }, rows.some((it) => it.gap) ? "there is a gap" : "no gap, no repeat"));
  }

  function setPaused(paused) {
    isPaused = paused;
    pausedAt = paused ? Date.now() : null;
    fill(toggle, icon(paused ? "play" : "pause"), paused ? "Go on" : "Pause");
    draw();
  }

  function copyCurl() {
    const url = at("api/feed", query());
    navigator.clipboard.writeText(`curl -N -H "Authorization: Bearer $TOKEN" '${url}'`).then(() => note("Copied; TOKEN is for you to put in."), () => note("The browser does not let this page copy."));
  }

  const query = () => ({ type: types().map((it) => `contact.${it}`).join(","), contact: params.contact?.replaceAll(",", "%2C"), after: position ? null : params.after });

  function connect() {
    stop?.abort();
    stop = new AbortController();
    fill(failed);
    follow({ query: query(), after: position, signal: AbortSignal.any([signal, stop.signal]), on: {
      change: push,
      position: (at_) => { position = at_; },
      gap: (why) => { rows.unshift({ gap: `There is a gap here: changes before ${timeText(new Date().toISOString(), { precise: true })} were not seen (${plain(why.replaceAll("_", " "))}).` }); position = null; soon(); },
      state: (word, seconds) => { state = word === "following" ? "following" : `the stream ended; again in ${seconds} s`; if (!document.hidden) soon(); },
      failed: (error) => { state = "not followed"; fill(failed, h("div", { class: "card" }, failureCard(error, connect))); soon(); },
    } });
  }

  function restart() {
    rows = [];
    waiting = [];
    waitingMore = 0;
    position = null;
    body.replaceChildren();
    drawChips();
    connect();
    draw();
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(() => { stop?.abort(); stop = null; }, CLOSE_HIDDEN_MS);
    else if (!stop) connect();
  }, { signal });
  addEventListener("scroll", () => { if (waiting.length && !isHeld()) soon(); }, { signal, passive: true });
  const second = setInterval(() => {
    if (!document.hidden) line(mini, rates, { name: "Changes a second that reach this page", unit: "/ s", dots: false });
    rates.push(0);
    rates.shift();
  }, 1000);
  restart();

  const step = (by) => {
    const list = rows.filter((it) => !it.gap);
    const next = list[Math.max(0, Math.min(list.length - 1, list.indexOf(chosen) + by))];
    if (!next) return;
    if (!isPaused) setPaused(true);
    chosen?.node?.removeAttribute("aria-selected");
    chosen = next;
    next.node?.setAttribute("aria-selected", "true");
    next.node?.scrollIntoView({ block: "nearest" });
  };
  return {
    update(now) { params = now; restart(); },
    close() { stop?.abort(); clearInterval(second); clearTimeout(drawTimer); clearTimeout(hiddenTimer); },
    keys: { Space: () => setPaused(!isPaused), j: () => step(1), k: () => step(-1), Enter: () => { if (chosen) location.hash = link("contacts", { open: chosen.id, tab: "history" }); } },
  };
}

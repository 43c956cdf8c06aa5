// Dead letters: by their reasons, as a list, with one open beside it, and what was done to them.
import { all, fill, foreign, h, one } from "./dom.js";
import { get, isOvertaken } from "./api.js";
import * as session from "./session.js";
import { spark } from "./chart.js";
import { bytes, count, span, when, words } from "./format.js";
import { link, turn } from "./router.js";
import { button, card, empty, every, failureCard, head, linkTo, tag } from "./ui.js";
import { chip, options } from "./dialogs.js";
import { shortOf } from "./advice.js";
import { longTable } from "./rows.js";
import { openLetter } from "./letter.js";
import { orderDialog } from "./redrive.js";
import { showRedrives } from "./redrives.js";

const PAGE = 50;
const ASK_MS = 10_000;
const HOT = 5;
const ABOUT = "records that could not be applied; nothing waits for them";
const STATUSES = [["kept", "kept"], ["redriven", "redriven"], ["discarded", "discarded"]];

export const letterStatus = (it) => (it.status === "redriven" ? tag("redriven", "ok", "check") : it.status === "discarded" ? tag("discarded") : it.hops > 0 ? tag(`hop ${it.hops}`, "warn") : h("span", { class: "mid" }, "kept"));

export function open({ main, content, params: first, signal, title, anew }) {
  let params = first, items = [], next = null, panel = null, chosen = null, asking = null, overview = null;
  if (params.view === "redrives") return redrives();
  const heading = head("Dead letters", ABOUT, linkTo("Redrives", link("dead-letters", { view: "redrives" }), { mark: "clock" }),
    session.can.operate() && button("Redrive…", () => orderDialog("redrive", { reason: params.reason, topic: params.topic }, again), { kind: "primary", mark: "replay" }));
  const tally = h("div", { class: "card tally" }), groups = h("ul", { class: "grps" }), chips = h("div", { class: "row wrap chips", role: "group", "aria-label": "Why" });
  const why = card("Why", { aside: h("span", { class: "small mute" }, "24 hours") }, groups);
  const body = h("tbody"), headRow = h("tr"), listTitle = h("h2", {}), number = h("span", { class: "mute" }), filters = h("div", { class: "push" });
  const table = h("table", { class: "rows fix" }, h("caption", { class: "sr" }, "Dead letters, newest first"), h("thead", {}, headRow), body);
  const nothing = h("div", {});
  const list = h("section", { class: "card", "aria-label": "Letters" }, h("div", { class: "card-h" }, listTitle, number, filters), table, nothing);
  const grid = h("div", { class: "dl" }, why, list);
  fill(main, heading, h("div", { class: "stack" }, tally, chips, grid));
  const rows = longTable(body, { columns: 5, draw: row, more, signal });

  function drawHead() {
    const isOpen = Boolean(params.open);
    tally.hidden = isOpen;
    heading.about(isOpen ? "" : ABOUT);
    why.hidden = isOpen;
    chips.hidden = !isOpen;
    grid.classList.toggle("short", isOpen);
    table.classList.toggle("two", isOpen);
    fill(headRow, h("th", { class: "w-id", scope: "col" }, "Record"), !isOpen && h("th", { class: "hide-s", scope: "col" }, "Why"), h("th", { class: "num hide-s w-v", scope: "col" }, "Bytes"), h("th", { class: "w-st2", scope: "col" }, "Status"), h("th", { class: "num w-tm", scope: "col" }, "Kept at"));
    listTitle.textContent = params.reason ? words(params.reason) : "All letters";
    const topics = [...new Set(items.map((it) => it.topic))];
    fill(filters,
      chip("Any topic", params.topic, { open: () => options(topics.map((it) => [it, it]), (topic) => turn({ topic }, { replace: true })), clear: () => turn({ topic: null }, { replace: true }) }),
      chip("Any status", params.status, { open: () => options(STATUSES, (status) => turn({ status }, { replace: true })), clear: () => turn({ status: null }, { replace: true }) }));
  }

  function row(it) {
    const isOpen = Boolean(params.open);
    const node = h("tr", { "aria-selected": it.id === (params.open ?? chosen) ? "true" : null, class: it.status === "discarded" ? "del-row" : null, data: { id: it.id } },
      h("td", {}, h("a", { class: "cell mono-c clip", href: link("dead-letters", { ...params, open: it.id }) }, it.id), h("span", { class: `sub clip ${isOpen ? "" : "only-s"}` }, foreign(it.detail))),
      !isOpen && h("td", { class: "mid hide-s" }, foreign(it.detail)), h("td", { class: "num mid hide-s" }, it.valueLength === null ? "–" : count(it.valueLength)), h("td", { class: "keep" }, letterStatus(it)), h("td", { class: "num mid keep" }, when(it.keptAt)));
    node.addEventListener("click", (event) => { if (!event.target.closest("a")) turn({ open: it.id }); });
    return node;
  }

  function drawGroups() {
    const { letters, samples } = overview;
    const fresh = samples.length ? Math.max(0, letters.kept - samples[0].letters) : 0;
    fill(tally, h("div", {}, h("b", {}, count(letters.kept)), h("span", {}, "kept")), h("div", {}, h("b", {}, count(fresh)), h("span", {}, "new in 15 minutes")), h("div", {}, h("b", {}, letters.oldestAgeSeconds ? span(letters.oldestAgeSeconds) : "–"), h("span", {}, "age of the oldest")), h("div", {}, h("b", {}, bytes(letters.bytes)), h("span", {}, "on the disk")));
    const choose = (reason) => () => turn({ reason: params.reason === reason ? null : reason }, { replace: true });
    fill(groups, letters.reasons.map((it) => h("li", {}, h("button", { type: "button", class: "grp", "aria-pressed": String(params.reason === it.reason), on: { click: choose(it.reason) } },
      h("span", { class: "grp-t" }, h("b", {}, words(it.reason)), h("span", { class: "sub2" }, shortOf(it.reason))), spark(it.hours, { isHot: it.hours.at(-1) >= HOT }), h("span", { class: "grp-n" }, count(it.kept), h("span", { class: "sr" }, ` kept, ${it.hours.reduce((a, b) => a + b, 0)} came in the last day`))))));
    why.hidden = Boolean(params.open) || !letters.reasons.length;
    grid.classList.toggle("short", Boolean(params.open) || !letters.reasons.length);
    fill(chips, letters.reasons.map((it) => h("button", { type: "button", class: `chip ${params.reason === it.reason ? "on" : ""}`, "aria-pressed": String(params.reason === it.reason), on: { click: choose(it.reason) } }, words(it.reason), " ", h("b", {}, count(it.kept)))));
    const own = params.reason ? letters.reasons.find((it) => it.reason === params.reason)?.kept ?? 0 : letters.kept;
    number.textContent = count(own);
  }

  async function askOverview() {
    overview = await get("api/overview", { window: "15m" }, signal);
    drawGroups();
  }

  const query = (cursor) => ({ reason: params.reason, topic: params.topic, status: params.status, limit: PAGE, cursor });

  async function again() {
    asking?.abort();
    asking = new AbortController();
    const stop = AbortSignal.any([signal, asking.signal]);
    drawHead();
    askOverview().catch((error) => { if (!isOvertaken(error) && !overview) fill(tally, h("div", {}, h("b", {}, "–"), h("span", {}, "unknown"))); });
    try {
      const page = await get("api/dead-letters", query(null), stop);
      items = page.data;
      next = page.meta.nextCursor;
      rows.restart();
      rows.set(items);
      table.hidden = items.length === 0;
      const isFiltered = params.reason || params.topic || params.status;
      fill(nothing, items.length === 0 && (isFiltered ? empty({ mark: "search", title: "Nothing fits", deeds: [button("Show all", () => turn({ reason: null, topic: null, status: null }))] }) : empty({ mark: "check", title: "No dead letters", text: "Every record so far could be applied." })));
      drawHead();
    } catch (error) {
      if (isOvertaken(error) || stop.aborted) return;
      table.hidden = true;
      fill(nothing, failureCard(error, again));
      if (error.code === "NOT_READY") setTimeout(() => { if (!stop.aborted) again(); }, 2000);
    }
  }

  async function more() {
    if (!next) return;
    const page = await get("api/dead-letters", query(next), AbortSignal.any([signal, asking.signal])).catch(() => null);
    if (!page) return;
    items = items.concat(page.data);
    next = page.meta.nextCursor;
    rows.set(items);
  }

  function drawPanel() {
    if (panel?.id === params.open) return;
    panel?.close();
    panel = null;
    content.classList.toggle("with-panel", Boolean(params.open));
    if (!params.open) { title("Dead letters"); return; }
    title(params.open);
    panel = openLetter({ host: content, id: params.open, step, close: () => turn({ open: null }), changed: again });
  }

  function step(by) {
    const place = items.findIndex((it) => it.id === (params.open ?? chosen));
    const to = items[Math.max(0, Math.min(items.length - 1, place + by))];
    if (!to) return;
    rows.reveal(items.indexOf(to));
    if (params.open) turn({ open: to.id }, { replace: true });
    else { chosen = to.id; rows.paint(); }
    all("tr", body).find((node) => node.dataset.id === to.id)?.scrollIntoView({ block: "nearest" });
  }

  function redrives() {
    const close = showRedrives(main, signal);
    title("Redrives and discards");
    return { update(now) { if (now.view !== "redrives") anew(); }, close, keys: { Escape: () => { location.hash = link("dead-letters"); } } };
  }

  again();
  drawPanel();
  every(ASK_MS, askOverview, signal);
  return {
    update(now) {
      const before = params;
      params = now;
      if (now.view === "redrives") { anew(); return; }
      if (["reason", "topic", "status"].some((name) => before[name] !== now[name])) again();
      else { drawHead(); rows.paint(); }
      if (overview) drawGroups();
      const closed = before.open && !now.open ? before.open : null;
      drawPanel();
      if (closed) all("tr", body).find((node) => node.dataset.id === closed)?.querySelector("a")?.focus();
    },
    close() { panel?.close(); },
    keys: { j: () => step(1), k: () => step(-1), Enter: () => { const id = chosen ?? items[0]?.id; if (id && !params.open) turn({ open: id }); }, r: () => panel?.redrive(), Escape: () => { if (params.open) turn({ open: null }); } },
  };
}

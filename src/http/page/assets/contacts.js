// Contacts: searched, filtered, sorted and paged, with one open beside the list.
import { all, fill, foreign, h, icon, mute, one } from "./dom.js";
import { call, isOvertaken } from "./api.js";
import * as session from "./session.js";
import { count, dayText, fullName, when } from "./format.js";
import { link, route, turn } from "./router.js";
import { button, empty, failureCard, head, linkTo } from "./ui.js";
import { askText, chip, dialog, options } from "./dialogs.js";
import { longTable } from "./rows.js";
import { openContact } from "./contact.js";
import { openForm } from "./contact_form.js";

const PAGE = 50;
const HELD_MAX = 20_000;
const LOADING_MS = 150;
const DEFAULT_SORT = "-changedAt";
const ID = /^[A-Za-z0-9][\w.:-]{7,}$/;
const MORE_COLUMNS = [["phone", "Phone"], ["id", "Id"], ["createdAt", "Made"]];
const SINCE = [["1h", "the last hour", 3600e3], ["1d", "the last day", 864e5], ["7d", "the last 7 days", 6048e5], ["30d", "the last 30 days", 2592e6]];
const SORTS = { name: "Name", company: "Company", createdAt: "Made", changedAt: "Changed" };

const stored = () => {
  try { return JSON.parse(localStorage.getItem("contactd.columns") ?? "[]").filter((it) => typeof it === "string").slice(0, 6); } catch { return []; }
};

// What the address asks of the API.
function queryOf(params) {
  if (params.duplicates) return { duplicates: true, includeDeleted: params.deleted, count: true };
  const q = params.q ?? "";
  const isEmail = /@.*\./.test(q);
  const since = SINCE.find(([key]) => key === params.since);
  return {
    q: isEmail ? null : q, email: isEmail ? q : null, company: params.company, source: params.source,
    includeDeleted: params.deleted === "all" ? true : null, status: params.deleted === "only" ? "DELETED" : null,
    changedSince: since ? new Date(Date.now() - since[2]).toISOString() : null,
    sort: params.sort ?? DEFAULT_SORT,
  };
}

export function open({ main, content, params: first, signal, title }) {
  let params = first, items = [], next = null, total = null, isExact = true, chosen = null, panel = null, asking = null, shown = stored();
  const heading = head("Contacts", "", button("Columns", chooseColumns, { kind: "hide-s", mark: "cols" }),
    session.can.edit() && button("New contact", create, { kind: "primary", mark: "plus", keys: "n" }));
  const chips = h("div", { class: "row wrap chips", role: "group", "aria-label": "Filters" });
  const body = h("tbody");
  const headRow = h("tr");
  const caption = h("caption", { class: "sr" });
  const table = h("table", { class: "rows fix" }, caption, h("thead", {}, headRow), body);
  const foot = h("div", { class: "foot" });
  const card = h("div", { class: "card" }, table, foot);
  const nothing = h("div", { class: "card", hidden: true });
  fill(main, heading, h("div", { class: "stack-3" }, chips, card, nothing));
  const rows = longTable(body, { columns: 12, draw: row, more, signal });
  one("#q").value = params.q ?? "";

  function columns() {
    const slim = Boolean(params.open);
    const list = [{ key: "name", text: "Name", kind: "w-name", sort: "name" }];
    if (!slim) list.push({ key: "email", text: "E-mail", kind: "hide-s w-em" });
    list.push({ key: "company", text: "Company", kind: "hide-s", sort: "company" });
    if (!slim) {
      list.push({ key: "title", text: "Title", kind: "hide-s" }, { key: "source", text: "Source", kind: "hide-s w-src" });
      for (const [key, text] of MORE_COLUMNS) if (shown.includes(key)) list.push({ key, text, kind: "hide-s", sort: key === "createdAt" ? key : null });
      for (const name of shown.filter((it) => it.startsWith("attributes."))) list.push({ key: name, text: name.slice(11), kind: "hide-s" });
    }
    if (params.deleted) list.push({ key: "status", text: "Status", kind: "w-st" });
    if (!slim) list.push({ key: "version", text: "Version", kind: "hide-s num w-v" });
    list.push({ key: "changedAt", text: "Changed", kind: "num w-up", sort: "changedAt" });
    return list;
  }

  function drawHead() {
    const sort = params.sort ?? DEFAULT_SORT;
    const by = sort.replace(/^-/, ""), isDown = sort.startsWith("-");
    table.classList.toggle("slim", Boolean(params.open));
    caption.textContent = `Contacts by ${SORTS[by] ?? by}`;
    fill(headRow, columns().map((column) => {
      const isBy = column.sort === by && !params.duplicates;
      const act = () => turn({ sort: isBy ? (isDown ? column.sort : `-${column.sort}`) : column.sort === "name" || column.sort === "company" ? column.sort : `-${column.sort}` }, { replace: true });
      return h("th", { class: column.kind, scope: "col", "aria-sort": isBy ? (isDown ? "descending" : "ascending") : null },
        column.sort && !params.duplicates ? h("button", { type: "button", on: { click: act } }, column.text, isBy && icon("sort", isDown ? "" : "flip")) : column.text);
    }));
  }

  function cell(contact, { key, kind }) {
    const none = () => mute("–");
    if (key === "name") {
      const name = fullName(contact);
      return h("td", {}, h("a", { class: "cell clip", href: link("contacts", { ...params, open: contact.id }) }, name ? foreign(name) : h("bdi", {}, h("i", { class: "mute" }, "no name"))),
        h("span", { class: "sub clip only-s" }, foreign(contact.company ?? contact.email ?? ""))) ;
    }
    if (key === "status") return h("td", { class: "keep" }, contact.status === "DELETED" ? h("span", { class: "tag" }, "deleted") : h("span", { class: "mid" }, "active"));
    if (key === "changedAt") return h("td", { class: "num mid keep" }, when(contact.changedAt));
    if (key === "createdAt") return h("td", { class: kind }, contact.createdAt ? dayText(contact.createdAt) : none());
    const value = key.startsWith("attributes.") ? contact.attributes[key.slice(11)] : contact[key];
    const text = value === null || value === undefined ? none() : foreign(typeof value === "string" ? value : JSON.stringify(value));
    return h("td", { class: `mid ${kind}` }, text);
  }

  function row(contact) {
    const node = h("tr", { class: contact.status === "DELETED" ? "del-row" : null, "aria-selected": contact.id === (params.open ?? chosen) ? "true" : null, data: { id: contact.id } }, columns().map((column) => cell(contact, column)));
    node.addEventListener("click", (event) => { if (!event.target.closest("a, button") && !getSelection()?.toString()) turn({ open: contact.id, tab: null }); });
    return node;
  }

  function drawChips() {
    const { company, source, since, deleted, duplicates } = params;
    const set = (name) => (value) => turn({ [name]: value, duplicates: null }, { replace: true });
    const clear = (name) => () => turn({ [name]: null }, { replace: true });
    const known = (name) => [...new Set(items.map((it) => it[name]).filter(Boolean))].slice(0, 8).map((it) => [it, it]);
    const list = (name, label) => () => [known(name).length > 0 && options(known(name), set(name)), askText(label, {}, set(name))];
    fill(chips,
      chip("Active", { all: "Active and deleted", only: "Deleted" }[deleted], { open: () => options([["all", "Active and deleted"], ["only", "Deleted alone"]], (value) => turn({ deleted: value }, { replace: true })), clear: clear("deleted") }),
      !duplicates && chip("Company", company, { open: list("company", "Company, its whole name"), clear: clear("company") }),
      !duplicates && chip("Source", source, { open: list("source", "Source"), clear: clear("source") }),
      !duplicates && chip("Changed since", since && `Changed in ${SINCE.find(([key]) => key === since)?.[1] ?? since}`, { open: () => options(SINCE.map(([key, text]) => [key, text]), set("since")), clear: clear("since") }),
      duplicates ? chip("", "Share an e-mail", { clear: clear("duplicates") })
        : h("button", { type: "button", class: "chip", "aria-pressed": "false", on: { click: () => turn({ duplicates: 1, q: null, company: null, source: null, since: null, sort: null, deleted: deleted ? "all" : null }) } }, "Share an e-mail"));
  }

  const totalText = () => (total === null ? `${count(items.length)}${next ? ", and more" : ""}` : isExact ? count(total) : `more than ${count(total)}`);
  function drawFoot() {
    const words = params.q ? `${totalText()} begin with “${params.q}”` : totalText();
    heading.about(words, { onPhones: true });
    fill(foot, h("span", {}, total !== null && total !== items.length ? `${count(items.length)} of ${totalText()}` : words),
      h("span", { class: "push hide-s" }, items.length >= HELD_MAX ? "So many are held at once; search or filter for others." : next ? "More come as you scroll" : ""));
  }

  function drawNothing(failed) {
    card.hidden = true;
    nothing.hidden = false;
    if (failed) { fill(nothing, failureCard(failed, () => start())); return; }
    const clear = button("Clear", () => turn({ q: null, company: null, source: null, since: null, duplicates: null, deleted: null }), { kind: "quiet" });
    const isFiltered = params.q || params.company || params.source || params.since || params.duplicates || params.deleted;
    fill(nothing, isFiltered
      ? empty({ mark: "search", title: params.q ? ["Nothing begins with “", foreign(params.q), "”"] : params.duplicates ? "No two contacts share an e-mail" : "Nothing fits", text: "Search looks at how names, companies and e-mail addresses begin.",
        deeds: [!params.deleted && button("Look among deleted ones", () => turn({ deleted: "all" })), clear] })
      : empty({ mark: "people", title: "No contacts yet", text: "They come from the topic, from webhooks and by hand.", deeds: [session.can.all() && linkTo("Send a test event", link("simulator"), { kind: "primary" }), session.can.edit() && button("New contact", create)] }));
    drawFoot();
  }

  async function page(cursor, stop) {
    const query = { ...queryOf(params), limit: PAGE, cursor };
    if (cursor && params.duplicates) delete query.count;
    return (await call("GET", "api/contacts", { query, signal: stop })).data;
  }

  // What looks like an id is asked for as one too, and stands on top.
  async function byId(stop) {
    if (!params.q || !ID.test(params.q)) return null;
    try { return (await call("GET", `api/contacts/${encodeURIComponent(params.q)}`, { query: { includeDeleted: true }, signal: stop, once: true })).data; } catch { return null; }
  }

  async function start() {
    asking?.abort();
    asking = new AbortController();
    const stop = AbortSignal.any([signal, asking.signal]);
    drawChips();
    drawHead();
    const timer = setTimeout(() => { if (!items.length) { card.hidden = false; nothing.hidden = true; fill(body, Array.from({ length: 12 }, () => h("tr", { "aria-hidden": "true" }, columns().map((column) => h("td", { class: column.kind }, h("span", { class: "sk" })))))); table.setAttribute("aria-busy", "true"); } }, LOADING_MS);
    try {
      const [answer, exact] = await Promise.all([page(null, stop), byId(stop)]);
      items = exact ? [exact, ...answer.data.filter((it) => it.id !== exact.id)] : answer.data;
      ({ nextCursor: next, total, totalIsExact: isExact } = answer.meta);
      rows.restart();
      if (!items.length) { drawNothing(null); return; }
      card.hidden = false;
      nothing.hidden = true;
      rows.set(items);
      drawFoot();
      drawChips();
    } catch (error) {
      if (isOvertaken(error) || stop.aborted) return;
      items = [];
      drawNothing(error);
      if (error.code === "NOT_READY") setTimeout(() => { if (!stop.aborted) start(); }, 2000);
    } finally { clearTimeout(timer); table.removeAttribute("aria-busy"); }
  }

  async function more() {
    if (!next || items.length >= HELD_MAX) return;
    const stop = AbortSignal.any([signal, asking.signal]);
    try {
      const answer = await page(next, stop);
      items = items.concat(answer.data);
      next = answer.meta.nextCursor;
      rows.set(items);
      drawFoot();
    } catch (error) {
      if (!isOvertaken(error) && !stop.aborted) fill(foot, h("span", { class: "bad-t" }, "The next page did not come. "), button("Try again", more, { kind: "small-b" }));
    }
  }

  function chooseColumns() {
    const names = [...new Set(items.flatMap((it) => Object.keys(it.attributes)))].sort().slice(0, 24);
    const all = [...MORE_COLUMNS, ...names.map((name) => [`attributes.${name}`, name])];
    const pick = (key) => (event) => {
      const attributes = shown.filter((it) => it.startsWith("attributes."));
      if (event.target.checked && key.startsWith("attributes.") && attributes.length >= 3) { event.target.checked = false; return; }
      shown = event.target.checked ? [...shown, key] : shown.filter((it) => it !== key);
      localStorage.setItem("contactd.columns", JSON.stringify(shown));
      drawHead();
      rows.paint();
    };
    dialog("Columns", (close) => ({
      body: [h("div", {}, all.map(([key, text]) => h("label", { class: "tick" }, h("input", { type: "checkbox", checked: shown.includes(key), on: { change: pick(key) } }), foreign(text)))), h("p", { class: "small mute" }, "Up to three attributes; kept in this browser.")],
      foot: [button("Done", close, { kind: "primary" })],
    }));
  }

  function create() {
    openForm(null, { saved: (contact) => { start(); turn({ open: contact.id }); } });
  }

  function drawPanel() {
    if (panel && panel.id === params.open) { panel.update(params); return; }
    panel?.close();
    panel = null;
    if (!params.open) { content.classList.remove("with-panel"); title("Contacts"); return; }
    content.classList.add("with-panel");
    panel = openContact({
      host: content, id: params.open, params, title,
      known: items.find((it) => it.id === params.open),
      step, close: () => turn({ open: null, tab: null }),
      changed: (contact) => {
        const place = items.findIndex((it) => it.id === contact.id);
        if (place >= 0) { items[place] = contact; rows.paint(); } else start();
      },
      gone: () => { start(); turn({ open: null, tab: null }); },
    });
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

  start();
  drawPanel();
  return {
    update(now) {
      const before = params;
      params = now;
      const isSameList = JSON.stringify({ ...before, open: 0, tab: 0 }) === JSON.stringify({ ...now, open: 0, tab: 0 });
      if (document.activeElement !== one("#q")) one("#q").value = params.q ?? "";
      if (!isSameList) start();
      else if (before.open !== now.open) { drawHead(); rows.paint(); }
      const closed = before.open && !now.open ? before.open : null;
      drawPanel();
      if (closed) all("tr", body).find((node) => node.dataset.id === closed)?.querySelector("a")?.focus();
    },
    close() { panel?.close(); one("#q").value = ""; },
    keys: {
      j: () => step(1), k: () => step(-1),
      Enter: () => { const id = chosen ?? items[0]?.id; if (id && !params.open) turn({ open: id }); },
      n: () => { if (session.can.edit()) create(); },
      e: () => panel?.edit(),
      x: () => { if (panel) panel.merge(); },
      Escape: () => { if (route().params.open) turn({ open: null, tab: null }); },
    },
  };
}

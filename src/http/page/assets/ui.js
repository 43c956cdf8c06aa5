// Parts that every view is made of: states, cards, rows that load, and what is said when something fails.
import { add, fill, h, icon, share, sr } from "./dom.js";
import { isOvertaken } from "./api.js";
import * as session from "./session.js";
import { note } from "./dialogs.js";
import { link } from "./router.js";

const SHOWN_AFTER_MS = 150;
const AGAIN_MS = 2000;
const MARKS = { ok: "check", warn: "warn", bad: "stop", idle: "dash", note: "clock" };

export const st = (kind, text, mark = MARKS[kind]) => h("span", { class: `st ${kind}` }, icon(mark), text);
export const tag = (text, kind = "", mark = null) => h("span", { class: `tag ${kind}` }, mark && icon(mark), text);
export const button = (text, act, { kind = "", mark = null, label = null, keys = null, type = "button", ...more } = {}) =>
  h("button", { type, class: `btn ${kind}`, "aria-label": label, "aria-keyshortcuts": keys, on: act ? { click: act } : {}, ...more }, mark && icon(mark), text);
export const linkTo = (text, href, { kind = "", mark = null, ...more } = {}) => h("a", { class: `btn ${kind}`, href, ...more }, mark && icon(mark), text);

export const copy = (text, what = "", shown = text) => h("button", {
  type: "button", class: "copy", title: `Copy ${text}`,
  on: { click: async (event) => {
    event.stopPropagation();
    try { await navigator.clipboard.writeText(text); note("Copied."); } catch { note("The browser does not let this page copy."); }
  } },
}, shown, sr(`, copy ${what}`));

export const head = (title, about, ...buttons) => {
  const line = h("p", { class: "hide-s" }, about);
  const node = h("div", { class: "head" }, h("h1", { tabindex: -1 }, title), line, h("span", { class: "grow" }), buttons);
  node.about = (text, { onPhones = false } = {}) => { line.textContent = text; line.classList.toggle("hide-s", !onPhones); };
  return node;
};

export const card = (title, { aside = null, kind = "", about = null, id = null } = {}, ...content) =>
  h("section", { class: `card ${kind}`, "aria-label": title, id }, h("div", { class: "card-h" }, h("h2", {}, title), about && h("span", { class: "mute small" }, about), aside && h("div", { class: "push" }, aside)), content);

export const empty = ({ kind = "", mark, title, text, deeds = [] }) =>
  h("div", { class: `empty ${kind}` }, h("span", { class: "pic" }, icon(mark)), h("h2", { class: "et" }, title), text && h("p", {}, text), deeds.length > 0 && h("div", { class: "row wrap" }, deeds));

export const msg = (kind, mark, content, deed = null) => h("div", { class: `msg ${kind}` }, icon(mark), h("div", {}, content), deed);

// What is said instead of an answer; `again` asks once more.
export const failureCard = (error, again) => {
  const retry = again && button("Try again", again);
  if (error.status === 403) {
    const roles = session.me()?.roles.join(", ") || "none";
    return empty({ mark: "lock", title: "This is not for your role", text: `Your role, ${roles}, does not see it. An admin can give you another.` });
  }
  if (error.status === 404 || error.status === 410) return empty({ mark: "bin", title: "This is not here", text: error.message, deeds: [linkTo("All contacts", link("contacts"))] });
  if (error.status === 429) return empty({ kind: "warn", mark: "clock", title: "One moment", text: `The limit is used up. It goes on in ${error.retryAfter ?? 1} s by itself.` });
  if (error.code === "NOT_READY") return empty({ kind: "warn", mark: "clock", title: "Not ready yet", text: `${error.message}. This view fills by itself.` });
  if (error.code === "NO_CONNECTION") return empty({ kind: "bad", mark: "stop", title: "No connection to contactd", text: "Nothing was lost here.", deeds: [retry] });
  return empty({ kind: "bad", mark: "stop", title: "That did not work",
    text: ["The answer was ", String(error.status ?? ""), ", ", error.code ?? error.name, ": ", error.message, ". ", error.requestId && copy(error.requestId, "the request id")], deeds: [retry] });
};

const skeleton = (rows) => h("div", { class: "card-b stack-3", "aria-busy": "true" }, Array.from({ length: rows }, (_, i) => share(h("span", { class: "sk" }), 0.5 + ((i * 37) % 45) / 100)));

// Asks, and draws the answer into `host`; what is there stays while it is asked again.
export async function load(host, ask, draw, { signal, rows = 6, keep = false } = {}) {
  const timer = setTimeout(() => { if (!keep && !signal?.aborted) fill(host, skeleton(rows)); }, SHOWN_AFTER_MS);
  const again = () => load(host, ask, draw, { signal, rows });
  try {
    const answer = await ask(signal);
    clearTimeout(timer);
    if (signal?.aborted) return null;
    fill(host, draw(answer));
    return answer;
  } catch (error) {
    clearTimeout(timer);
    if (isOvertaken(error) || signal?.aborted) return null;
    fill(host, failureCard(error, again));
    const wait = error.code === "NOT_READY" ? AGAIN_MS : error.status === 429 ? (error.retryAfter ?? 1) * 1000 : 0;
    if (wait) setTimeout(() => { if (!signal?.aborted) again(); }, wait);
    return null;
  }
}

// Again and again while the tab is seen, until the view goes.
export function every(ms, act, signal) {
  let timer = 0;
  const step = async () => {
    if (signal.aborted) return;
    if (!document.hidden) await act().catch(() => null);
    if (!signal.aborted) timer = setTimeout(step, ms);
  };
  timer = setTimeout(step, ms);
  const seen = () => { if (!document.hidden) { clearTimeout(timer); step(); } };
  document.addEventListener("visibilitychange", seen, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}

// What a deed was answered; true: it went well.
export async function deed(target, act, done) {
  if (target?.getAttribute("aria-busy") === "true") return false;
  target?.setAttribute("aria-busy", "true");
  try {
    const answer = await act();
    if (done) await done(answer);
    return true;
  } catch (error) {
    if (!isOvertaken(error)) note(refusal(error));
    return false;
  } finally {
    target?.removeAttribute("aria-busy");
  }
}

export const refusal = (error) => {
  if (error.code === "NO_CONNECTION") return "No answer: it is not known whether that was done. Look before you try again.";
  if (["WRITE_UNAVAILABLE", "INTAKE_UNAVAILABLE"].includes(error.code)) return "Nothing is saved: the log takes nothing just now. Try again.";
  if (error.code) return `${error.message} (${error.code})`;
  return String(error.message ?? error);
};

export const tabs = (name, list, chosen, choose) => {
  const row = h("div", { class: "tabs", role: "tablist", "aria-label": name });
  const nodes = list.map(([key, text, number]) => h("button", {
    role: "tab", type: "button", id: `tab-${key}`, "aria-controls": "tab-panel", "aria-selected": String(key === chosen), tabindex: key === chosen ? 0 : -1,
    on: { click: () => choose(key) },
  }, text, number !== undefined && number !== null && h("span", { class: "n" }, ` ${number}`)));
  row.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = nodes.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = (at + step + nodes.length) % nodes.length;
    choose(list[next][0]);
    document.getElementById(`tab-${list[next][0]}`)?.focus();
  });
  return add(row, nodes);
};

export const seg = (label, options, chosen, choose) => {
  const group = h("div", { class: "seg", role: "group", "aria-label": label });
  const nodes = options.map(([value, text]) => h("button", { type: "button", value, "aria-pressed": String(value === chosen), on: { click: () => {
    for (const node of nodes) node.setAttribute("aria-pressed", String(node.value === value));
    choose(value);
  } } }, text));
  return add(group, nodes);
};

export const pairs = (list, kind = "") => h("dl", { class: `kv ${kind}` }, list.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
export const progress = (name, part, kind = "big") => {
  const bar = h("span", { class: `bar ${kind}`, role: "progressbar", "aria-label": name, "aria-valuenow": Math.round(part * 100), "aria-valuemin": 0, "aria-valuemax": 100 }, h("i"));
  return share(bar, part);
};

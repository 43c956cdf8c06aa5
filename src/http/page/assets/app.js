// The life of the page: who is there, which view, what holds for all of them.
import { all, fill, h, icon, one } from "./dom.js";
import { get, at } from "./api.js";
import { connection } from "./connection.js";
import * as session from "./session.js";
import { clockText, initials, many } from "./format.js";
import { go, link, listen, route } from "./router.js";
import { button, empty, every, failureCard, linkTo, refusal } from "./ui.js";
import { dialog, note } from "./dialogs.js";
import * as keys from "./keys.js";
import { showSignIn, hideSignIn } from "./sign_in.js";

const VIEWS = {
  overview: { load: () => import("./overview.js"), title: "Overview", may: () => session.can.look() },
  contacts: { load: () => import("./contacts.js"), title: "Contacts", may: () => session.can.look() },
  feed: { load: () => import("./feed.js"), title: "Live feed", may: () => session.can.look() },
  "dead-letters": { load: () => import("./letters.js"), title: "Dead letters", may: () => session.can.letters() },
  simulator: { load: () => import("./simulator.js"), title: "Simulator", may: () => session.can.all() },
  connections: { load: () => import("./connections.js"), title: "Connections", may: () => Boolean(session.me()) },
};
const LETTERS_MS = 15_000;

let current = null, turnNumber = 0;
const content = () => one("#content");

function frame() {
  const me = session.me();
  const name = me?.username ?? "";
  for (const node of all("[data-place]")) node.hidden = !VIEWS[node.dataset.place].may();
  const [face, text] = all("#account > span");
  face.textContent = initials({ firstName: name });
  one("b", text).textContent = name;
  one("small", text).textContent = me?.roles.join(", ") ?? "";
  one("#account").title = "Account";
}

function mark(path, title) {
  for (const node of all(".nav [data-place], .bottom [data-place]")) {
    const target = node.tagName === "A" ? node : one("a", node);
    if (node.dataset.place === path) target.setAttribute("aria-current", "page"); else target.removeAttribute("aria-current");
  }
  document.title = `${title} · contactd`;
}

const fresh = () => {
  const main = h("main", { class: "page", id: "main", tabindex: -1 });
  content().className = "";
  fill(content(), main);
  return main;
};

function close() {
  current?.stop.abort();
  current?.view?.close?.();
  current = null;
  keys.setView(null);
}

// The view of the address: a new one where the path changed, else the same with other parameters.
async function show() {
  const now = route();
  const known = VIEWS[now.path];
  if (current && current.path === now.path && current.view) {
    current.view.update?.(now.params);
    return;
  }
  const isFirst = !current;
  close();
  const number = (turnNumber += 1);
  const main = fresh();
  mark(now.path, known?.title ?? "Not here");
  if (!known) {
    fill(main, h("h1", { class: "sr" }, "Not here"), empty({ mark: "bin", title: "There is no such view", deeds: [linkTo("Overview", link("overview"))] }));
    return;
  }
  if (!known.may()) {
    fill(main, h("h1", { class: "sr" }, known.title), failureCard({ status: 403 }));
    return;
  }
  const stop = new AbortController();
  current = { path: now.path, stop, view: null };
  try {
    const { open } = await known.load();
    if (number !== turnNumber) return;
    current.view = open({ main, content: content(), params: now.params, signal: stop.signal, title: (text) => mark(now.path, text), anew });
    keys.setView(current.view.keys);
    if (!isFirst) (one("h1", main) ?? main).focus({ preventScroll: true });
    scrollTo(0, 0);
  } catch (error) {
    if (number !== turnNumber) return;
    // A tab that was open over an update asks for files of the build before.
    fill(main, empty({ kind: "warn", mark: "replay", title: "This view could not be loaded", text: `contactd may have been updated meanwhile. (${error.message})`, deeds: [button("Load the page anew", () => location.reload(), { kind: "primary" })] }));
  }
}

// The same view, begun again for the address as it is now.
function anew() {
  close();
  show();
}

function theme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try { localStorage.setItem("contactd.theme", root.dataset.theme); } catch { /* It holds until the page goes. */ }
}

function accountDialog() {
  const me = session.me();
  dialog(me.username, (done) => ({
    body: [
      h("p", { class: "mid" }, `Signed in as ${me.principal}; ${me.roles.length > 1 ? "roles" : "role"} ${me.roles.join(", ")}.`),
      h("label", { class: "tick" }, h("input", { type: "checkbox", checked: keys.isSingle(), on: { change: (event) => keys.setSingle(event.target.checked) } }), h("span", {}, "Single keys act (j, k, n, …)")),
      h("nav", { class: "sheet", "aria-label": "More" }, h("a", { href: link("connections", { tab: "sign-ins" }), on: { click: done } }, icon("key"), "Where you are signed in"),
        h("a", { href: at("docs").href }, icon("file"), "API description")),
    ],
    foot: [button("Light or dark", theme, { mark: "moon" }), button("Sign out", () => { done(); session.signOut(); }, { kind: "primary" })],
  }));
}

function moreDialog() {
  const places = all(".nav [data-place]").filter((node) => !node.hidden && ["simulator", "connections"].includes(node.dataset.place));
  dialog("More", (done) => ({
    body: [h("nav", { class: "sheet", "aria-label": "More places" },
      places.map((node) => h("a", { href: link(node.dataset.place), on: { click: done } }, one("svg", node).cloneNode(true), VIEWS[node.dataset.place].title)),
      h("a", { href: at("docs").href }, icon("file"), "API description"))],
    foot: [h("div", { class: "row who-l" }, h("b", { class: "strong" }, session.me().username), h("span", { class: "small mute" }, session.me().roles.join(", "))),
      button("Light or dark", theme, { mark: "moon" }), button("Sign out", () => { done(); session.signOut(); })],
  }));
}

function live() {
  const [pulse, text] = all("#live > span");
  const isAway = connection.since !== null;
  pulse.className = `pulse ${isAway ? "warn" : ""}`;
  if (text.textContent !== (isAway ? "No connection" : "Live")) text.textContent = isAway ? "No connection" : "Live";
  one("#main")?.classList.toggle("stale", isAway);
  banner();
}

function banner() {
  const host = one("#banner");
  if (connection.since === null) { fill(host); return; }
  const wait = Math.max(0, Math.ceil((connection.nextAt - Date.now()) / 1000));
  const text = `What you see is from then. Trying again in ${wait} s.`;
  const shown = one(".banner .again", host);
  if (shown) shown.textContent = text;
  else {
    fill(host, h("div", { class: "banner bad", role: "alert" }, icon("stop"),
      h("span", {}, h("b", { class: "strong" }, `No connection to contactd since ${clockText(connection.since)}. `), h("span", { class: "again" }, text)),
      button("Now", () => connection.now(), { kind: "small-b" })));
  }
}

async function letterCount(signal) {
  if (!session.can.look()) return;
  const { letters } = await get("api/overview", { window: "15m" }, signal);
  for (const node of all("[data-letters]")) {
    node.hidden = !letters.kept;
    fill(node, letters.kept > 999 ? "999+" : String(letters.kept), h("i", { class: "sr" }, " kept"));
  }
}

async function about() {
  const health = await get("healthz");
  fill(one("#build"), `${health.version} · ${health.commit.slice(0, 8)}`, h("br"), health.log ? `${health.log.kind === "kafka" ? "Kafka" : "embedded log"} · ${health.log.topic}` : "");
}

const counting = new AbortController();

async function begin() {
  frame();
  delete document.documentElement.dataset.out;
  hideSignIn();
  await show();
  about().catch(() => null);
  letterCount().catch(() => null);
}

function start() {
  one("#search").addEventListener("submit", (event) => { event.preventDefault(); one("#q").dispatchEvent(new Event("now")); });
  let typed = 0;
  const search = () => {
    clearTimeout(typed);
    const { path, params } = route();
    go("contacts", { ...(path === "contacts" ? params : {}), q: one("#q").value.trim(), open: null, tab: null, duplicates: null }, { replace: path === "contacts" });
  };
  one("#q").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(search, 120); });
  one("#q").addEventListener("now", search);
  one("#theme").addEventListener("click", theme);
  one("#help").addEventListener("click", keys.help);
  one("#account").addEventListener("click", accountDialog);
  one("#more").addEventListener("click", moreDialog);
  one(".skip").addEventListener("click", (event) => { event.preventDefault(); one("#main").focus(); });
  keys.start({ theme, search: () => one("#q").focus(), palette: async () => (await import("./palette.js")).open() });
  connection.changes.addEventListener("change", live);
  connection.changes.addEventListener("slow", (event) => note(`The limit of requests is used up; it goes on in ${many(event.seconds, "second")} by itself.`));
  setInterval(() => { if (connection.since !== null) banner(); }, 1000);
  every(LETTERS_MS, letterCount, counting.signal);
  listen(() => { if (session.me()) show().catch((error) => note(refusal(error))); });
  session.changes.addEventListener("ended", () => showSignIn({ hasEnded: true }));
  session.changes.addEventListener("in", () => { if (current) { frame(); hideSignIn(); } else begin(); });
  session.changes.addEventListener("other", close);
  session.changes.addEventListener("out", () => { close(); fresh(); showSignIn({}); });
}

start();
if (await session.restore().catch(() => false)) await begin(); else showSignIn({});
live();

// Where one is signed in, and ending it elsewhere.
import { fill, h, plain, sr, strong } from "./dom.js";
import { call, get } from "./api.js";
import * as session from "./session.js";
import { timeWords, when } from "./format.js";
import { button, card, deed, empty, load } from "./ui.js";
import { confirm, note } from "./dialogs.js";

const BROWSERS = [[/Edg\//, "Edge"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"]];
const SYSTEMS = [[/Windows/, "Windows"], [/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Mac OS X/, "macOS"], [/Linux/, "Linux"]];

export const agentName = (agent) => {
  const find = (list) => list.find(([pattern]) => pattern.test(agent))?.[1];
  const browser = find(BROWSERS), system = find(SYSTEMS);
  return browser ? `${browser}${system ? ` on ${system}` : ""}` : plain(agent).slice(0, 60) || "a program";
};

export function showSignIns(host, signal) {
  const end = (it, target) => deed(target, () => call("DELETE", `api/auth/tokens/${encodeURIComponent(it.id)}`), () => { note("That sign-in is ended."); ask(); });
  const others = (list) => confirm("End all others", `${list.length} other sign-ins end at once, everywhere.`, "End them", () => deed(null, async () => { for (const it of list) await call("DELETE", `api/auth/tokens/${encodeURIComponent(it.id)}`); }, () => { note("They are ended."); ask(); }));
  const row = (it) => h("tr", {}, h("td", {}, strong(agentName(it.userAgent)), it.current && [" ", h("span", { class: "tag note" }, "this sign-in")], h("span", { class: "sub", title: plain(it.userAgent) }, it.address)), h("td", { class: "mid hide-s" }, when(it.createdAt)), h("td", { class: "num mid nowrap" }, timeWords(it.lastUsedAt)),
    h("td", { class: "num" }, it.current ? button("Sign out", () => session.signOut(), { kind: "small-b" }) : button("End", (event) => end(it, event.currentTarget), { kind: "small-b", label: `End ${agentName(it.userAgent)} at ${it.address}` })));
  const draw = (page) => {
    const rest = page.data.filter((it) => !it.current);
    return card("Where you are signed in", { aside: rest.length > 1 && button("End all others", () => others(rest), { kind: "small-b" }) },
      page.data.length ? h("table", { class: "two" }, h("caption", { class: "sr" }, "Sign-ins, the last used first"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "With"), h("th", { class: "hide-s", scope: "col" }, "Since"), h("th", { class: "num", scope: "col" }, "Last used"), h("th", { scope: "col" }, sr("Do")))), h("tbody", {}, page.data.map(row))) : empty({ mark: "key", title: "No sign-ins" }));
  };
  const ask = () => load(host, () => get("api/auth/tokens", { limit: 100 }, signal), draw, { signal, keep: host.children.length > 0 });
  ask();
  fill(host);
}

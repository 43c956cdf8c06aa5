// What contactd is connected with: followers, and one's own sign-ins.
import { fill, h } from "./dom.js";
import * as session from "./session.js";
import { link } from "./router.js";
import { head } from "./ui.js";

const TABS = [["followers", "Followers", () => session.can.operate(), () => import("./followers.js").then((it) => it.showFollowers)],
  ["sign-ins", "Sign-ins", () => true, () => import("./sign_ins.js").then((it) => it.showSignIns)]];

export function open({ main, params: first, signal, title }) {
  let stop = null;
  const host = h("div", {}), nav = h("nav", { class: "tabs page-tabs", "aria-label": "Connections" });
  fill(main, head("Connections", null), nav, host);
  const may = TABS.filter(([, , allowed]) => allowed());
  async function show(params) {
    stop?.abort();
    stop = new AbortController();
    const own = AbortSignal.any([signal, stop.signal]);
    const [key, name, , load] = may.find(([it]) => it === params.tab) ?? may[0];
    fill(nav, may.map(([it, text]) => h("a", { href: link("connections", { tab: it === may[0][0] ? null : it }), "aria-current": it === key ? "page" : null }, text)));
    title(name);
    fill(host);
    const draw = await load();
    if (!own.aborted) draw(host, own);
  }
  show(first);
  return { update: show, close() { stop?.abort(); }, keys: {} };
}

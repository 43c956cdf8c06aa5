// Two contacts that are one: found, compared, and merged by one order.
import { fill, foreign, h, icon, mute, plain, strong } from "./dom.js";
import { call, get, isOvertaken } from "./api.js";
import { FIELDS, fieldName, nameOrElse, shown } from "./format.js";
import { button, deed, failureCard, msg, refusal } from "./ui.js";
import { dialog } from "./dialogs.js";
import { equal, flat, label } from "./history.js";

const TYPED_MS = 120;
const ASK_MS = 1000;

async function untilMerged(id) {
  for (;;) {
    const job = await get(`api/merges/${encodeURIComponent(id)}`);
    if (job.status !== "running" && job.status !== "accepted") return job;
    await new Promise((done) => setTimeout(done, ASK_MS));
  }
}

export function openMerge(contact, { etag, other: otherId = null, merged }) {
  let stays = contact, goes = null, asking = null;
  const body = h("div", { class: "stack" });
  const go = button("Merge", (event) => send(event.currentTarget), { kind: "primary", disabled: true });
  const box = dialog("Merge two contacts", (close) => ({ body, foot: [button("Cancel", close), go] }), { kind: "mid-w" });

  const line = (it) => [it.email, `version ${it.version}`].filter(Boolean).map(plain).join(" · ");
  const mini = (it, isStaying) => h("div", { class: `mini ${isStaying ? "on" : ""}` }, h("span", { class: `tag ${isStaying ? "note" : ""}` }, isStaying ? "stays" : "gives way"), h("b", { class: "strong clip" }, foreign(nameOrElse(it))), h("span", { class: "small mute clip" }, line(it)));

  function choose(list) {
    return h("div", { class: "pick" }, list.filter((it) => it.id !== stays.id).map((it) => h("button", { type: "button", on: { click: () => { goes = it; draw(); } } }, h("b", { class: "strong" }, foreign(nameOrElse(it))), h("span", { class: "small mute" }, line(it)))));
  }

  async function search(host, text) {
    asking?.abort();
    asking = new AbortController();
    try {
      const query = text ? (/@.*\./.test(text) ? { email: text } : { q: text }) : stays.email ? { email: stays.email } : { q: stays.lastName ?? stays.firstName ?? stays.company };
      const found = await get("api/contacts", { ...query, limit: 20 }, asking.signal);
      const list = choose(found.data);
      fill(host, list.children.length ? list : h("p", { class: "small mute" }, text ? "Nothing begins so." : "Nobody shares its e-mail. Search for the other one."));
    } catch (error) { if (!isOvertaken(error)) fill(host, failureCard(error)); }
  }

  function drawSearch() {
    const found = h("div", {});
    let timer = 0;
    const input = h("input", { class: "in", id: "mg-q", type: "search", autocomplete: "off", on: { input: () => { clearTimeout(timer); timer = setTimeout(() => search(found, input.value.trim()), TYPED_MS); } } });
    fill(body, h("div", { class: "field" }, h("label", { for: "mg-q" }, "The other contact"), input, h("span", { class: "help" }, "Those that share its e-mail come first.")), found);
    search(found, "");
    input.focus();
  }

  function draw() {
    if (!goes) { go.disabled = true; drawSearch(); return; }
    const one = flat(stays), other = flat(goes);
    const names = [...new Set([...FIELDS, ...Object.keys(one), ...Object.keys(other)])].filter((name) => name !== "status" && ((one[name] ?? null) !== null || (other[name] ?? null) !== null));
    const has = (it) => it !== null && it !== undefined;
    const value = (it) => (has(it) ? foreign(shown(it)) : mute("–"));
    const titles = [plain(nameOrElse(stays)), plain(nameOrElse(goes))];
    const row = (name) => {
      const takes = !has(one[name]) && has(other[name]);
      return h("tr", {}, h("th", { scope: "row" }, FIELDS.includes(name) ? fieldName(name) : foreign(label(name))), h("td", { "data-l": titles[0] }, h("span", {}, value(one[name]))),
        h("td", { class: "mute", "data-l": titles[1] }, h("span", {}, has(other[name]) && equal(one[name], other[name]) ? "the same" : value(other[name]))),
        h("td", { "data-l": "after" }, h("span", {}, takes ? h("ins", {}, value(other[name])) : value(one[name]))));
    };
    fill(body,
      h("div", { class: "pair" }, mini(stays, true), button("", () => { [stays, goes] = [goes, stays]; draw(); }, { kind: "icon", mark: "swap", label: "The other way round" }), mini(goes, false)),
      h("div", {}, h("h3", { class: "sec0" }, "What will stand"), h("div", { class: "scroll" }, h("table", { class: "cmp dense" }, h("thead", {}, h("tr", {}, ["Field", ...titles, "After"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, names.map(row))))),
      h("p", { class: "small mute" }, "The survivor keeps what it has and takes what it lacks; ids of sources and later events of the other go to it."));
    go.disabled = false;
    fill(go, `Merge, keep ${titles[0]}`);
  }

  const send = (target) => deed(target, async () => {
    const isOurs = stays.id === contact.id;
    try {
      const answer = await call("POST", `api/contacts/${encodeURIComponent(stays.id)}/merge`, { body: { from: goes.id }, headers: isOurs && etag ? { "If-Match": etag } : {} });
      const job = answer.status === 202 ? await untilMerged(answer.data.mergeId) : null;
      if (job && job.status === "failed") throw new Error(job.error?.message ?? "the merge failed");
      box.close();
      merged(stays.id);
    } catch (error) {
      if (error.status !== 412) { fill(body.firstChild, msg("bad", "stop", refusal(error))); go.disabled = true; return; }
      fill(body, msg("warn", "warn", [strong("The contact was changed meanwhile."), " Close this, look at it again, and merge then."]));
      go.disabled = true;
    }
  });

  if (otherId) get(`api/contacts/${encodeURIComponent(otherId)}`).then((it) => { goes = it; draw(); }, () => draw());
  else draw();
}

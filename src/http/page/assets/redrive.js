// Many letters at once: first what would happen, then the same in earnest.
import { fill, h } from "./dom.js";
import { isOvertaken, post } from "./api.js";
import { count, many, words } from "./format.js";
import { link } from "./router.js";
import { button, deed, failureCard, pairs } from "./ui.js";
import { dialog, note } from "./dialogs.js";
import { REASON_WORDS, leftOutOf } from "./advice.js";

const TYPED_MS = 300;
const FIRST_SHOWN = 3;

export function orderDialog(kind, { reason = "", topic = "" }, done) {
  let asking = null, timer = 0, counts = null, what = kind;
  const why = h("select", { class: "in", id: "rr" }, h("option", { value: "" }, "any"), REASON_WORDS.map((it) => h("option", { value: it }, words(it))));
  why.value = reason ?? "";
  const where = h("input", { class: "in", id: "rt", value: topic ?? "", placeholder: "any", autocomplete: "off" });
  const since = h("input", { class: "in", id: "rs", type: "datetime-local" });
  const rate = h("input", { class: "in num", id: "ra", inputmode: "numeric", value: "100" });
  const again = h("input", { type: "checkbox" });
  const outcome = h("section", { class: "card", "aria-label": "What would happen" });
  const go = button("", (event) => send(event.currentTarget), { kind: "primary", disabled: true });
  const field = (label, input) => h("div", { class: "field" }, h("label", { for: input.id }, label), input);

  const order = (more) => {
    const filter = { reason: why.value || undefined, topic: where.value.trim() || undefined, since: since.value ? new Date(since.value).toISOString() : undefined };
    const isAll = !filter.reason && !filter.topic && !filter.since;
    const own = what === "redrive" ? { rate: Math.max(1, Number(rate.value) || 100), again: again.checked || undefined } : {};
    return { ...filter, ...(isAll ? { all: true } : {}), ...own, ...more };
  };
  const verb = () => (what === "redrive" ? "Redrive" : "Discard");

  async function preview() {
    asking?.abort();
    asking = new AbortController();
    go.disabled = true;
    try {
      const { data } = await post(`api/dead-letters/${what}`, order({ dryRun: true }), { signal: asking.signal });
      ({ counts } = data);
      const out = counts.selected - counts.done;
      fill(outcome, h("div", { class: "card-h" }, h("h2", {}, "What would happen"), h("span", { class: "tag note" }, "dry run"), h("span", { class: "push small mute" }, "just now")),
        h("div", { class: "tally three" }, h("div", {}, h("b", {}, count(counts.selected)), h("span", {}, "fit")), h("div", {}, h("b", {}, count(counts.done)), h("span", {}, what === "redrive" ? "would go to the log again" : "would be discarded")), h("div", {}, h("b", {}, count(out)), h("span", {}, "would be left out"))),
        h("div", { class: "card-b" }, out > 0 && pairs(leftOutOf(counts).map(([word, number]) => [word, count(number)])), data.first.length > 0 && h("p", { class: "small mute first" }, "The first: ", h("span", { class: "mono" }, data.first.slice(0, FIRST_SHOWN).join(" · ")), counts.done > FIRST_SHOWN ? ` and ${count(counts.done - FIRST_SHOWN)} more` : "")));
      fill(go, `${verb()} ${many(counts.done, "letter")}`);
      go.disabled = counts.done === 0;
    } catch (error) {
      if (!isOvertaken(error)) { fill(outcome, failureCard(error, preview)); fill(go, verb()); }
    }
  }
  const soon = () => { clearTimeout(timer); go.disabled = true; timer = setTimeout(preview, TYPED_MS); };

  const send = (target) => deed(target, () => post(`api/dead-letters/${what}`, order()), () => {
    box.close();
    note(`${verb()} of ${many(counts.done, "letter")} is under way.`);
    done?.();
    location.hash = link("dead-letters", { view: "redrives" });
  });
  const form = h("form", { class: "stack", on: { input: soon, change: soon, submit: (event) => { event.preventDefault(); if (!go.disabled) send(go); } } },
    h("div", { class: "form-2" }, field("Reason", why), field("Topic", where), field("Records since", since), field("Letters a second, at most", rate)),
    h("label", { class: "tick" }, again, h("span", {}, "Also those that were redriven before")), outcome,
    h("p", { class: "small mute" }, "Each goes to the contact log as it came, with its id and time: it has one effect, however often it is redriven."));
  const turnTo = button("Discard instead…", () => {
    what = what === "redrive" ? "discard" : "redrive";
    box.rename(`${verb()} dead letters`);
    turnTo.textContent = what === "redrive" ? "Discard instead…" : "Redrive instead…";
    go.className = `btn ${what === "redrive" ? "primary" : "danger solid"}`;
    rate.closest(".field").hidden = what === "discard";
    again.closest(".tick").hidden = what === "discard";
    preview();
  }, { kind: "quiet" });
  const box = dialog("Redrive dead letters", (close) => ({ body: form, foot: [turnTo, h("span", { class: "grow hide-s" }), button("Cancel", close), go] }));
  fill(go, verb());
  preview();
}

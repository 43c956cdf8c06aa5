// Redrives and discards: those under way, and those before.
import { fill, h, icon, mute } from "./dom.js";
import { call, get } from "./api.js";
import * as session from "./session.js";
import { count, many, timeText, when, who, words } from "./format.js";
import { link } from "./router.js";
import { button, card, deed, empty, every, load, progress, st, tag } from "./ui.js";
import { note } from "./dialogs.js";
import { leftOutOf } from "./advice.js";

const ASK_MS = 1000;
const STATES = { done: ["ok", "done"], stopped: ["warn", "stopped"], failed: ["bad", "failed"], running: ["note", "under way"], interrupted: ["warn", "interrupted"] };

const which = ({ selection }) => {
  if (selection.id) return selection.id;
  const parts = [selection.reason && words(selection.reason), selection.topic && `topic ${selection.topic}`, selection.since && `since ${timeText(selection.since)}`, selection.until && `until ${timeText(selection.until)}`].filter(Boolean);
  return parts.join(", ") || "all";
};
const left = (job) => leftOutOf(job.counts).reduce((sum, [, number]) => sum + number, 0);

export function showRedrives(main, signal) {
  const running = h("div", { class: "stack" }), before = h("div", {});
  fill(main, h("div", { class: "head" }, h("a", { class: "btn quiet icon", href: link("dead-letters"), "aria-label": "Back to dead letters" }, icon("left")), h("h1", { tabindex: -1 }, "Redrives and discards")), h("div", { class: "stack" }, running, card("Before", {}, before)));

  const now = (job) => {
    const all = Math.max(job.counts.selected, job.counts.done + left(job), 1);
    return card(`${job.kind === "redrive" ? "Redrive" : "Discard"} of ${which(job)}`, { kind: "job", aside: [h("span", { class: "small mute" }, `by ${who(job.by)}, ${timeText(job.at, { precise: true })}`), session.can.operate() && button("Stop", (event) => deed(event.currentTarget, () => call("DELETE", `api/dead-letters/redrives/${encodeURIComponent(job.id)}`), () => { note("It stops."); ask(); }), { kind: "small-b danger" })], about: tag(job.state === "running" ? "under way" : words(job.state), "note", "replay") },
      h("div", { class: "card-b stack-3" }, h("div", { class: "row" }, h("span", {}, h("b", { class: "strong" }, count(job.counts.done)), ` of ${count(all)}`), job.rate && mute(`${count(job.rate)} a second at most`)), progress("Redriven", job.counts.done / all),
        h("div", { class: "row wrap small" }, h("span", { class: "mid" }, `${count(left(job))} left out · ${job.failed.length ? many(job.failed.length, "failed", "failed") : "none failed"}`), h("span", { class: "push mute" }, "It goes on after a restart, and on another instance where this one does not come back."))));
  };
  const row = (job) => h("tr", {}, h("td", { class: "nowrap" }, when(job.at)), h("td", {}, job.kind), h("td", { class: "mid hide-s" }, which(job)), h("td", { class: "mid hide-s" }, who(job.by)), h("td", {}, st(...(STATES[job.state] ?? ["idle", job.state])), job.why && h("span", { class: "small mute hide-s" }, ` ${job.why}`)), h("td", { class: "num" }, count(job.counts.done)), h("td", { class: "num mid hide-s" }, count(left(job))));
  const isRunning = (job) => ["running", "interrupted"].includes(job.state);
  let any = true;
  async function ask() {
    await load(before, () => get("api/dead-letters/redrives", { limit: 50 }, signal), (page) => {
      any = page.data.some(isRunning);
      fill(running, page.data.filter(isRunning).map(now));
      const ended = page.data.filter((job) => !isRunning(job));
      return ended.length ? h("table", { class: "dense" }, h("caption", { class: "sr" }, "Redrives and discards before"), h("thead", {}, h("tr", {}, [["", "When"], ["", "What"], ["hide-s", "Which"], ["hide-s", "By"], ["", "Stands"], ["num", "Done"], ["num hide-s", "Left out"]].map(([kind, text]) => h("th", { class: kind, scope: "col" }, text)))), h("tbody", {}, ended.map(row)))
        : empty({ mark: "clock", title: "None yet", text: "What is redriven or discarded stands here afterwards." });
    }, { signal, keep: before.children.length > 0 });
  }
  ask();
  every(ASK_MS, async () => { if (any) await ask(); }, signal);
  return () => null;
}

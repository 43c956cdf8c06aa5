// Verdicts: columns of a time each, and their sums beside them.
import { h, fill } from "./dom.js";
import { stack } from "./chart.js";
import { count, minuteText, percent, words } from "./format.js";
import { seg } from "./ui.js";

const ALL = ["applied", "unchanged", "duplicate", "stale", "superseded", "conflict", "not_found", "rehomed", "dead_lettered"];
const SECONDS = { "15m": 60, "1h": 300, "6h": 900, "24h": 3600 };
const WORD = { "15m": "Verdicts a minute", "1h": "Verdicts by 5 minutes", "6h": "Verdicts by 15 minutes", "24h": "Verdicts an hour" };
const LABELS_MAX = 6;
const COLUMNS = { "15m": 15, "1h": 12, "6h": 24, "24h": 24 };

export function verdictCard() {
  let shown = "all", last = null;
  const title = h("h2", { id: "verdicts-h" }, WORD["15m"]), chart = h("div", { class: "chart tall" }), legend = h("div", { class: "legend" });
  const node = h("section", { class: "card c8", "aria-labelledby": "verdicts-h" },
    h("div", { class: "card-h" }, title, h("div", { class: "push" }, seg("Which verdicts", [["all", "All"], ["rest", "Not applied"]], "all", (value) => { shown = value; draw(); }))),
    h("div", { class: "card-b verd" }, chart, legend));

  function columns(samples, window) {
    const each = SECONDS[window];
    const out = new Map();
    const end = samples.length ? Math.floor((new Date(samples.at(-1).at).getTime() - 1) / 1000 / each) * each * 1000 : 0;
    if (end) for (let at = end - (COLUMNS[window] - 1) * each * 1000; at <= end; at += each * 1000) out.set(at, {});
    for (const sample of samples) {
      const at = Math.floor((new Date(sample.at).getTime() - 1) / 1000 / each) * each * 1000;
      const values = out.get(at);
      if (!values) continue;
      for (const [verdict, number] of Object.entries(sample.verdicts)) values[verdict] = (values[verdict] ?? 0) + number;
    }
    const list = [...out.entries()];
    const every = Math.ceil(list.length / LABELS_MAX);
    return list.map(([at, values], i) => ({ at: i % every === every - 1 || list.length < LABELS_MAX ? minuteText(at) : "", values }));
  }

  function draw() {
    if (!last) return;
    const { samples, window } = last;
    title.textContent = WORD[window];
    const sums = {};
    for (const sample of samples) for (const [verdict, number] of Object.entries(sample.verdicts)) sums[verdict] = (sums[verdict] ?? 0) + number;
    const all = Object.values(sums).reduce((sum, it) => sum + it, 0);
    const keys = ALL.filter((key) => shown === "all" || key !== "applied");
    stack(chart, columns(samples, window), keys, `${WORD[window]}; the list beside it has the sums`);
    fill(legend, ALL.filter((key) => key !== "rehomed" || sums[key]).map((key) => [h("span", { class: `sw s-${key}` }), h("span", {}, key === "dead_lettered" ? "dead-lettered" : words(key)), h("span", { class: "num" }, count(sums[key] ?? 0)), h("span", { class: "num mute" }, percent(sums[key] ?? 0, all))]));
  }
  return { node, set(overview, window) { last = { samples: overview.samples, window }; draw(); } };
}

// The overview: one sentence on how it goes, then the figures that prove it.
import { fill, foreign, h, icon, mute, one, share } from "./dom.js";
import { get, isOvertaken } from "./api.js";
import * as session from "./session.js";
import { line } from "./chart.js";
import { bytes, count, decimal, percent, rate, span, timeText, words } from "./format.js";
import { link, turn } from "./router.js";
import { card, copy, every, failureCard, pairs, seg, st } from "./ui.js";
import { healthOf } from "./health.js";
import { verdictCard } from "./overview_verdicts.js";

const ASK_MS = 5000;
const SHARED_MS = 60_000;
const LANES_SHOWN = 8;
const WINDOWS = [["15m", "15 min"], ["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"]];
const SECONDS = { "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400 };
const AGO = { "15m": "15 min ago", "1h": "1 h ago", "6h": "6 h ago", "24h": "24 h ago" };
const DEPENDENCIES = { kafka: "Kafka", redis: "Redis", schema_registry: "Schema registry" };

// A figure with its trend; its place is kept before it arrives.
function figure(kind = "c3 half") {
  const title = h("h2", {}), value = h("span", {}, "–"), unit = h("small", {}), readout = h("span", { class: "push nowrap" });
  const chart = h("div", { class: "chart" }), from = h("span", {});
  const node = h("section", { class: `card fig ${kind}` }, title, h("p", { class: "v" }, value, unit, readout), h("div", {}, chart, h("div", { class: "ends", "aria-hidden": "true" }, from, h("span", {}, "now"))));
  return {
    node,
    set({ name, now, unit: unitText = "", about = "", series, other = null, times, ago, isBad = false }) {
      node.setAttribute("aria-label", name);
      title.textContent = name;
      value.textContent = now;
      unit.textContent = unitText;
      if (!chart.matches(":hover, :focus")) {
        readout.textContent = about;
        chart.classList.toggle("is-bad", isBad);
        line(chart, series, { name, unit: unitText, other, times, readout });
      }
      from.textContent = ago;
    },
  };
}

const last = (list) => list.at(-1) ?? null;
// The time before the first sample is there as well, unknown.
const padded = (samples, wanted) => [...Array.from({ length: Math.max(0, wanted - samples.length) }, () => null), ...samples];
const column = (samples, name) => samples.map((it) => (it ? it[name] : null));
const known = (list) => list.filter((it) => it !== null);

export function open({ main, params: first, signal, title }) {
  let params = first, overview = null, stats = null, shared = null, failed = null;
  const window_ = () => (AGO[params.window] ? params.window : "15m");
  const badge = h("span", { class: "badge" }), sentence = h("h1", { tabindex: -1 }, "Overview"), proof = h("p", {}, "…");
  const acts = h("div", { class: "acts" }, seg("Time shown", WINDOWS, window_(), (value) => turn({ window: value === "15m" ? null : value }, { replace: true })));
  const deeds = h("div", { class: "acts", hidden: true });
  const health = h("div", { class: "health" }, badge, h("div", {}, sentence, proof), acts, deeds);
  const figures = [figure(), figure(), figure(), figure()];
  const verdicts = verdictCard();
  const contacts = h("div", { class: "card-b stack-3" });
  const lag = h("div", {}), dependencies = h("ul", { class: "plain" }), store = h("div", {}), letters = h("div", {}), followers = h("div", {});
  const clients = h("span", { class: "mute small" });
  const lagState = h("span", {});
  const grid = h("div", { class: "grid" }, figures.map((it) => it.node), verdicts.node,
    card("Contacts", { kind: "c4", aside: h("a", { class: "small", href: link("contacts") }, "Browse") }, contacts),
    card("Lag by partition", { kind: "c6", id: "lag", aside: lagState }, lag),
    h("section", { class: "card c6", "aria-label": "Dependencies and store" }, h("div", { class: "duo" }, h("div", {}, h("div", { class: "card-h" }, h("h2", {}, "Dependencies")), dependencies), h("div", {}, h("div", { class: "card-h" }, h("h2", {}, "Store")), store))),
    session.can.letters() && card("Latest dead letters", { kind: "c6", aside: h("a", { class: "small", href: link("dead-letters") }, "All") }, letters),
    card("Who follows", { kind: session.can.letters() ? "c6" : "c12", aside: session.can.operate() && h("a", { class: "small", href: link("connections") }, "Connections") }, h("div", { class: "card-b" }, clients), followers));
  fill(main, h("div", { class: "stack" }, health, grid));

  function drawHealth() {
    const now = healthOf(overview, stats, failed);
    health.className = `health ${now.kind === "ok" ? "" : now.kind}`;
    fill(badge, icon(now.mark));
    if (sentence.textContent !== now.title) sentence.textContent = now.title;
    title(now.kind === "ok" ? "Overview" : now.title);
    proof.textContent = now.text;
    acts.hidden = now.links.length > 0;
    deeds.hidden = !now.links.length;
    fill(deeds, now.links.map(([text, href], i) => h("a", { class: `btn ${i ? "quiet" : ""}`, href, on: { click: (event) => { if (href === "#lag") { event.preventDefault(); one("#lag").scrollIntoView(); } } } }, text)));
  }

  function drawFigures() {
    const samples = padded(overview.samples, Math.round(SECONDS[window_()] / overview.stepSeconds));
    const times = column(samples, "at"), ago = overview.samples.length ? AGO[window_()] : "";
    const common = { times, ago };
    const rates = column(samples, "events"), lags = column(samples, "lagRecords"), ages = column(samples, "lagSeconds");
    const range = known(rates);
    const lagNow = overview.lanes.some((it) => it.lagRecords === null) ? null : overview.lanes.reduce((sum, it) => sum + it.lagRecords, 0);
    const isBehind = overview.health.state === "behind";
    figures[0].set({ ...common, name: "Events a second", now: rate(last(rates)), unit: "/ s", about: range.length ? `${rate(Math.min(...range))} to ${rate(Math.max(...range))}` : "no samples yet", series: rates });
    figures[1].set({ ...common, name: "Records behind", now: lagNow === null ? "unknown" : count(lagNow), about: known(lags).length ? `at most ${count(Math.max(...known(lags)))}` : "", series: lags, isBad: isBehind });
    if (isBehind) {
      const oldest = overview.lanes.reduce((most, it) => ((it.lagSeconds ?? 0) > (most?.lagSeconds ?? 0) ? it : most), null);
      figures[2].set({ ...common, name: "Oldest not applied", now: span(oldest?.lagSeconds ?? null), about: oldest ? `partition ${oldest.partition}` : "", series: ages, isBad: true });
    } else {
      const p99 = column(samples, "readableP99Ms"), p50 = column(samples, "readableP50Ms");
      figures[2].set({ ...common, name: "Record to readable, p99", now: decimal(known(p99).at(-1)), unit: "ms", about: `p50 ${decimal(known(p50).at(-1))} ms, dashed`, series: p99, other: p50 });
    }
    const { outbox } = overview;
    if (outbox.records > 0) {
      figures[3].set({ ...common, name: "Waiting in the outbox", now: count(outbox.records), about: `oldest ${span(outbox.oldestAgeSeconds)}`, series: column(samples, "webhooks"), isBad: true });
    } else if (overview.health.state === "letters_growing" || isBehind) {
      const kept = column(samples, "letters");
      figures[3].set({ ...common, name: "Dead letters kept", now: count(overview.letters.kept), about: known(kept).length ? `${count(Math.max(0, last(kept) - known(kept)[0]))} new in this time` : "", series: kept, isBad: overview.health.state === "letters_growing" });
    } else {
      figures[3].set({ ...common, name: "Webhooks a second", now: rate(last(column(samples, "webhooks"))), unit: "/ s", about: `${rate(last(column(samples, "webhooksRefused")) ?? 0)} refused`, series: column(samples, "webhooks") });
    }
  }

  function drawContacts() {
    const { total, active, deleted } = stats.contacts;
    const bar = h("div", { class: "split", role: "img", "aria-label": `${percent(active, total)} active, ${percent(deleted, total)} deleted` }, share(h("i", { class: "s-applied" }), total ? active / total : 0), share(h("i", { class: "s-unchanged" }), total ? deleted / total : 0));
    fill(contacts, h("p", { class: "v-in" }, h("b", {}, count(total)), " ", mute("in all")), bar, pairs([
      [h("span", { class: "row" }, h("span", { class: "sw s-applied" }), "active"), count(active)],
      [h("span", { class: "row" }, h("span", { class: "sw s-unchanged" }), "deleted"), count(deleted)],
      ["Share an e-mail", shared === null ? mute("–") : h("a", { href: link("contacts", { duplicates: 1 }) }, `${shared.isExact ? "" : "more than "}${count(shared.total)}`)],
      ["Digest", copy(stats.digest, "the digest", stats.digest.slice(0, 16))],
    ]));
  }

  function drawLag() {
    const lanes = [...overview.lanes].sort((a, b) => (b.lagRecords ?? 0) - (a.lagRecords ?? 0));
    const behind = lanes.filter((it) => it.lagRecords > 0).length;
    const unknown = lanes.filter((it) => it.lagRecords === null).length;
    fill(lagState, unknown ? st("idle", `${unknown} unknown`) : behind ? st(overview.health.state === "behind" ? "bad" : "note", `${behind} of ${lanes.length} behind`) : st("ok", `all ${lanes.length} caught up`));
    const most = Math.max(1, ...lanes.map((it) => it.lagRecords ?? 0));
    const shown = behind ? lanes.slice(0, LANES_SHOWN) : [...overview.lanes].slice(0, LANES_SHOWN);
    const row = (it) => h("tr", {}, h("td", {}, it.partition), h("td", { class: "num mid" }, stats?.nextOffsets[it.partition] === undefined ? mute("–") : count(stats.nextOffsets[it.partition])), h("td", { class: "num" }, count(it.lagRecords)),
      h("td", { class: "num mute" }, span(it.lagSeconds)), behind > 0 && h("td", { class: "hide-s w-bar" }, it.lagRecords > 0 && share(h("span", { class: `bar ${it.lagSeconds > 10 ? "bad" : "idle"}` }, h("i")), it.lagRecords / most)));
    fill(lag, h("table", { class: "dense" }, h("caption", { class: "sr" }, "Lag by partition, those behind first"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Partition"), h("th", { class: "num", scope: "col" }, "Next offset"), h("th", { class: "num", scope: "col" }, "Records behind"), h("th", { class: "num", scope: "col" }, "Age"), behind > 0 && h("th", { class: "hide-s", scope: "col" }, h("span", { class: "sr" }, "Share")))), h("tbody", {}, shown.map(row))),
      lanes.length > LANES_SHOWN && h("div", { class: "foot" }, `and ${count(lanes.length - LANES_SHOWN)} more${behind > LANES_SHOWN ? "" : ", caught up"}`));
  }

  function drawDependencies() {
    const { notReady, outbox, bridge, diskFreeBytes } = overview;
    const row = (name, about, mark) => h("li", { class: "dep" }, h("span", { class: "dep-n" }, name, h("span", { class: "sub2" }, about)), mark);
    const up = (part, isUp = !notReady[part]) => (isUp ? st("ok", "up") : st("bad", "away"));
    const isDiskFull = [notReady.store, notReady.apply, notReady.log].some((why) => /disk|room|space/i.test(why ?? ""));
    fill(dependencies,
      Object.entries(overview.dependencies).map(([name, isUp]) => row(DEPENDENCIES[name] ?? words(name), name === "kafka" ? `${overview.lanes.length} partitions here` : name === "redis" ? "limits counted together" : "schemas of other topics", up(null, isUp))),
      row("Contact log", notReady.log ?? "takes what is written", up("log")),
      row("Disk", diskFreeBytes === null ? "free room unknown" : `${bytes(diskFreeBytes)} free${stats ? `, checkpoint ${span((stats.checkpoint.ageMs ?? 0) / 1000)} ago` : ""}`, isDiskFull ? st("bad", "full") : st("ok", "room")),
      bridge && row("Bridge", bridge.lagRecords === null ? "other topics" : `other topics · ${count(bridge.lagRecords)} behind`, bridge.up ? st("ok", "up") : st("bad", "away")),
      row("Outbox", outbox.records ? `${count(outbox.records)} wait, ${bytes(outbox.bytes)}` : "nothing waits", outbox.records ? st("warn", "waiting") : st("ok", "empty")));
  }

  function drawStore() {
    const { storage, checkpoint, cache, snapshot } = stats;
    const asked = cache.hits + cache.misses;
    fill(store, h("div", { class: "pad-b" }, pairs([["sled", bytes(storage.engineBytes)], ["Journal", bytes(storage.journalBytes)], ["Heap file", bytes(storage.heapBytes)], ["Snapshot", snapshot.ageMs === undefined ? "none yet" : bytes(storage.snapshotBytes)], ["Indexes", bytes(storage.indexBytes)], ["Not flushed yet", bytes(storage.dirtyBytes)],
      ["Checkpoint", `#${count(checkpoint.number)} · ${span(checkpoint.ageMs / 1000)} ago`], ["Took", `${count(checkpoint.tookMs)} ms`], ["Cache hits", asked ? percent(cache.hits, asked) : mute("none asked")], ["Memory", bytes(overview.memoryBytes)]], "pad")));
  }

  async function drawLetters() {
    if (!session.can.letters()) return;
    const page = await get("api/dead-letters", { limit: 4 }, signal);
    const row = (it) => h("tr", {}, h("td", {}, h("a", { class: "cell clip", href: link("dead-letters", { open: it.id }) }, words(it.reason)), h("span", { class: "sub clip" }, h("span", { class: "mono" }, it.id), " · ", foreign(it.detail))), h("td", { class: "num mute nowrap keep" }, timeText(it.keptAt)));
    fill(letters, page.data.length ? h("table", { class: "rows two fix" }, h("caption", { class: "sr" }, "Latest dead letters"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Why"), h("th", { class: "num w-s", scope: "col" }, "Kept"))), h("tbody", {}, page.data.map(row)))
      : h("div", { class: "card-b" }, h("p", { class: "row" }, st("ok", "None: every record so far could be applied."))));
  }

  async function drawFollowers() {
    clients.textContent = overview.feedClients === 1 ? "1 client of the feed" : `${count(overview.feedClients)} clients of the feed`;
    if (!session.can.operate()) return;
    const page = await get("api/followers", null, signal);
    const { followerState } = await import("./followers.js");
    const row = (it) => h("tr", {}, h("td", {}, h("a", { class: "cell", href: link("connections") }, foreign(it.name)), h("span", { class: "sub clip" }, it.about)), h("td", {}, followerState(it)), h("td", { class: "num" }, it.lagRecords === null ? mute("–") : count(it.lagRecords)), h("td", { class: "num hide-s" }, count(it.parked)));
    fill(followers, page.data.length ? h("table", { class: "rows two" }, h("caption", { class: "sr" }, "Followers"), h("thead", {}, h("tr", {}, ["Follower", "State", "Behind", "Parked"].map((text, i) => h("th", { class: i === 3 ? "num hide-s" : i === 2 ? "num" : null, scope: "col" }, text)))), h("tbody", {}, page.data.map(row)))
      : h("div", { class: "card-b" }, mute("Nothing follows yet.")));
  }

  async function ask() {
    try {
      const answers = await Promise.all([get("api/overview", { window: window_() }, signal), get("api/stats", null, signal).catch((error) => { if (error.code === "NOT_READY") return null; throw error; })]);
      [overview, stats] = answers;
      failed = null;
    } catch (error) {
      if (isOvertaken(error) || signal.aborted) return;
      failed = error;
      if (!overview) { fill(main, h("h1", { class: "sr" }, "Overview"), h("div", { class: "card" }, failureCard(error, () => location.reload()))); return; }
      drawHealth();
      return;
    }
    drawHealth();
    drawFigures();
    verdicts.set(overview, window_());
    drawLag();
    drawDependencies();
    if (stats) { drawContacts(); drawStore(); }
    await Promise.all([drawLetters(), drawFollowers()]).catch(() => null);
  }

  async function askShared() {
    const page = await get("api/contacts", { duplicates: true, count: true, limit: 1 }, signal).catch(() => null);
    if (!page) return;
    shared = { total: page.meta.total ?? 0, isExact: page.meta.totalIsExact };
    if (stats) drawContacts();
  }

  let width = innerWidth;
  addEventListener("resize", () => { if (overview && innerWidth !== width) { width = innerWidth; drawFigures(); verdicts.set(overview, window_()); } }, { signal });
  ask().then(askShared);
  every(ASK_MS, ask, signal);
  every(SHARED_MS, askShared, signal);
  return { update(now) { params = now; ask(); }, keys: {} };
}

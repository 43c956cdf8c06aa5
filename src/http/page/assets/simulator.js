// Webhooks as Acme sends them, made by hand, and what became of each.
import { fill, foreign, h, icon, mute, one, plain } from "./dom.js";
import { at, get, isOvertaken, post } from "./api.js";
import { count, many, millisText, words } from "./format.js";
import { route } from "./router.js";
import { button, empty, every, failureCard, head, msg, refusal, seg, st, tag } from "./ui.js";
import { chip, note, options } from "./dialogs.js";

const ASK_MS = 1000;
const COUNT_MAX = 500;
const CHAOS = [["duplicate", "Duplicate", "sent again"], ["reorder", "Reorder", "sent after later ones"], ["late", "Late", "sent long after their turn"], ["forge", "Forge", "also sent, wrongly signed"], ["truncate", "Truncate", "also sent without their end"]];
const START = { id: "c8b5f0d2-5a1e-4b7e-9a57-6a0f3d1be5c4", acme_first_name: "Ada", acme_last_name: "Lovelace", acme_title: "Chief Engineer" };
const BAD = new Set(["forged", "truncated"]);
const ENDS = { delivered: ["ok", "delivered"], pending: ["note", "pending"], failed: ["bad", "failed"], rejected: ["bad", "rejected"] };

const isExpected = (it) => it.status === "rejected" && BAD.has(it.manner);
const ended = (it) => (isExpected(it) ? st("idle", "rejected") : st(...(ENDS[it.status] ?? ["idle", it.status])));

export function open({ main, signal }) {
  let kind = "updated", shown = [], manner = null, end = null, isOff = false;
  const opened = new Set();
  const params = route().params;
  const data = h("textarea", { class: "in mono", id: "dt", rows: 7, spellcheck: "false", "aria-describedby": "dt-h dt-e", value: JSON.stringify({ ...START, ...(params.contact ? { id: params.contact } : {}) }, null, 2) });
  const hint = h("span", { class: "help", id: "dt-h" }, "Acme’s names or ours, as one JSON object."), wrong = h("span", { class: "err", id: "dt-e", role: "alert", hidden: true });
  const number = h("input", { class: "in num", id: "cn", inputmode: "numeric", value: "6" });
  const target = h("input", { class: "in", id: "tg", placeholder: "this instance", autocomplete: "off" });
  const seed = h("input", { class: "in seed num", id: "sd", inputmode: "numeric", value: "7" });
  const sliders = {};
  const slider = ([name, text, about]) => {
    const id = `s-${name}`, output = h("output", { for: id }, "0 %");
    const input = h("input", { type: "range", id, min: 0, max: 50, step: 1, value: "0", "aria-describedby": `d-${name}`, on: {
      input: () => { output.value = `${input.value} %`; },
      keydown: (event) => { const by = { PageUp: 10, PageDown: -10 }[event.key]; if (by) { event.preventDefault(); input.value = String(Number(input.value) + by); output.value = `${input.value} %`; } },
    } });
    sliders[name] = input;
    return h("div", { class: "slider" }, h("label", { for: id }, text, h("small", { id: `d-${name}` }, about)), input, output);
  };
  const send = h("button", { class: "btn primary grow-b", type: "submit", "aria-keyshortcuts": "Control+Enter" }, icon("send"), h("span", {}, "Send 6 events"));
  const said = h("div", {});
  const form = h("form", { class: "stack", novalidate: true, on: { submit } }, said,
    h("section", { class: "card", "aria-labelledby": "ev" }, h("div", { class: "card-h" }, h("h2", { id: "ev" }, "Event")), h("div", { class: "card-b stack-3" },
      h("div", { class: "field" }, h("span", { class: "lab", id: "ty" }, "Type"), seg("Event type", [["created", "created"], ["updated", "updated"], ["deleted", "deleted"]], kind, (value) => { kind = value; })),
      h("div", { class: "field" }, h("label", { for: "dt" }, "Data"), data, hint, wrong),
      h("div", { class: "form-2" }, h("div", { class: "field" }, h("label", { for: "cn" }, "How many"), number), h("div", { class: "field" }, h("label", { for: "tg" }, "Target"), target)))),
    h("section", { class: "card", "aria-labelledby": "ch" }, h("div", { class: "card-h" }, h("h2", { id: "ch" }, "Chaos"), h("div", { class: "push" }, h("label", { class: "small mute", for: "sd" }, "Seed"), seed)), h("div", { class: "card-b" }, CHAOS.map(slider))),
    h("div", { class: "row" }, send, button("Copy as curl", copyCurl)));
  const total = h("span", { class: "mute" }), filters = h("div", { class: "push" }), sums = h("div", { class: "verdict-line" }), list = h("div", {});
  const sent = h("section", { class: "card", "aria-labelledby": "hi" }, h("div", { class: "card-h" }, h("h2", { id: "hi" }, "Sent"), total, filters), sums, list);
  fill(main, head("Simulator", "webhooks as Acme sends them, signed, to this instance or another"), h("div", { class: "sim" }, form, sent));

  const parsed = () => {
    try {
      const value = JSON.parse(data.value);
      if (value === null || typeof value !== "object" || Array.isArray(value)) return { problem: "must be one JSON object" };
      return { value };
    } catch (error) { return { problem: `is no JSON: ${error.message}` }; }
  };
  const order = () => {
    const chaos = Object.fromEntries(Object.entries(sliders).map(([name, input]) => [name, Number(input.value) / 100]).filter(([, share]) => share > 0));
    const hasChaos = Object.keys(chaos).length > 0;
    return { eventType: `contact.${kind}`, data: parsed().value, count: howMany(), ...(target.value.trim() ? { targetUrl: target.value.trim() } : {}), ...(hasChaos ? { chaos: { ...chaos, seed: Number(seed.value) || 0 } } : {}) };
  };
  const howMany = () => Math.max(1, Math.min(COUNT_MAX, Math.floor(Number(number.value)) || 1));
  const relabel = () => { one("span", send).textContent = `Send ${many(howMany(), "event")}`; };
  number.addEventListener("input", relabel);
  const refuse = (problem) => {
    wrong.hidden = !problem;
    hint.hidden = Boolean(problem);
    if (problem) { fill(wrong, icon("stop"), problem); data.setAttribute("aria-invalid", "true"); } else data.removeAttribute("aria-invalid");
  };
  data.addEventListener("input", () => refuse(parsed().problem));
  data.addEventListener("blur", hold);

  // What the published schema of this type has members for.
  async function hold() {
    const { value } = parsed();
    if (!value) return;
    const schema = await get(`schemas/acme.contact.${kind}`, null, signal).catch(() => null);
    const properties = schema?.properties?.data?.properties ?? schema?.properties;
    if (!schema) return;
    const missing = (schema.properties?.data?.required ?? []).filter((name) => !(name in value));
    const unknown = properties ? Object.keys(value).filter((name) => !(name in properties)) : [];
    fill(hint, missing.length ? `The schema acme.contact.${kind} also wants ${missing.join(", ")}.` : unknown.length ? ["As it is an attribute: ", foreign(unknown.join(", ")), "."] : `Fits the schema acme.contact.${kind}.`);
  }

  async function submit(event) {
    event.preventDefault();
    if (isOff || send.getAttribute("aria-busy") === "true") return;
    const { problem } = parsed();
    refuse(problem);
    if (problem) { data.focus(); return; }
    send.setAttribute("aria-busy", "true");
    try {
      const answer = await post("api/simulator/webhooks", order());
      note(`${many(answer.data.data.length, "webhook")} on the way.`);
      fill(said);
      await ask();
    } catch (error) {
      const fields = error.details?.fields;
      fill(said, msg("bad", "stop", fields ? Object.entries(fields).map(([name, text]) => `${name} ${text}`).join("; ") : refusal(error)));
    } finally { send.removeAttribute("aria-busy"); }
  }

  function copyCurl() {
    if (parsed().problem) { refuse(parsed().problem); return; }
    const text = `curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' '${at("api/simulator/webhooks")}' -d '${JSON.stringify(order()).replaceAll("'", "'\\''")}'`;
    navigator.clipboard.writeText(text).then(() => note("Copied; TOKEN is for you to put in."), () => note("The browser does not let this page copy."));
  }

  function tries(it) {
    return h("tr", { class: "sub-r" }, h("td", { colspan: 6 }, h("ol", { class: "tries" }, it.attempts.map((attempt, i) => [
      h("li", {}, h("b", {}, i + 1), h("span", { class: "nowrap" }, millisText(attempt.at)), st(attempt.status >= 200 && attempt.status < 300 ? "ok" : "bad", attempt.status ?? "none"), h("span", { class: "mute nowrap" }, `${attempt.latencyMs.toFixed(1)} ms`), h("span", { class: "mono clip" }, plain(attempt.response ?? attempt.error ?? ""))),
      attempt.retryInMs !== null && i === it.attempts.length - 1 && it.status === "pending" && h("li", {}, h("b", {}, i + 2), h("span", { class: "mute" }, `again ${(attempt.retryInMs / 1000).toFixed(1)} s after that`)),
    ]), it.attempts.length === 0 && h("li", {}, h("span", { class: "mute" }, "Not tried yet.")))));
  }

  function row(it) {
    const last = it.attempts.at(-1);
    const isOpen = opened.has(it.id);
    const turnIt = () => { if (isOpen) opened.delete(it.id); else opened.add(it.id); draw(); document.getElementById(`d-${it.id}`)?.focus(); };
    const node = h("tr", { "aria-selected": isOpen ? "true" : null },
      h("td", { class: "mono mute hide-s" }, millisText(it.createdAt)),
      h("td", {}, h("button", { type: "button", class: "cell-b", id: `d-${it.id}`, "aria-expanded": String(isOpen), on: { click: (event) => { event.stopPropagation(); turnIt(); } } }, h("span", { class: "cell-t" }, it.eventType)), h("span", { class: "sub clip" }, h("span", { class: "mono" }, plain(it.eventId)))),
      h("td", { class: "hide-s" }, tag(words(it.manner), BAD.has(it.manner) ? "warn" : it.manner === "as_is" ? "" : "note")), h("td", {}, ended(it)), h("td", { class: "num mid hide-s" }, it.attempts.length),
      h("td", { class: "num" }, last ? h("b", { class: "strong" }, last.status ?? "none") : mute("–"), last && h("span", { class: "sub" }, `${last.latencyMs.toFixed(1)} ms`)));
    node.addEventListener("click", turnIt);
    return [node, isOpen && tries(it)];
  }

  function draw() {
    const sum = (test) => shown.filter(test).length;
    const line = [["ok", sum((it) => it.status === "delivered"), "delivered"], ["idle", sum(isExpected), "refused, as they should be"], ["note", sum((it) => it.status === "pending"), "pending"], ["bad", sum((it) => it.status === "failed" || (it.status === "rejected" && !isExpected(it))), "failed"]];
    fill(sums, line.filter(([kind_, n]) => n > 0 || kind_ === "ok").map(([kind_, n, text]) => h("span", {}, st(kind_, `${count(n)} ${text}`))));
    const manners = [...new Set(shown.map((it) => it.manner))];
    fill(filters,
      chip("Any manner", manner && words(manner), { open: () => options(manners.map((it) => [it, words(it)]), (value) => { manner = value; draw(); }), clear: () => { manner = null; draw(); } }),
      chip("Any end", end, { open: () => options(Object.keys(ENDS).map((it) => [it, it]), (value) => { end = value; draw(); }), clear: () => { end = null; draw(); } }));
    const chosen = shown.filter((it) => (!manner || it.manner === manner) && (!end || it.status === end));
    fill(list, chosen.length ? h("table", { class: "rows two sim-t" }, h("caption", { class: "sr" }, "Webhooks that were sent, newest first"), h("thead", {}, h("tr", {}, [["hide-s w-t", "Sent"], ["", "Event"], ["hide-s", "Manner"], ["", "Ended"], ["num hide-s", "Tries"], ["num", "Last answer"]].map(([kind_, text]) => h("th", { class: kind_, scope: "col" }, text)))), h("tbody", {}, chosen.map(row)))
      : empty({ mark: "send", title: shown.length ? "Nothing fits" : "Nothing was sent yet", text: shown.length ? null : "What is sent, and what each target answered, stands here." }));
  }

  async function ask() {
    try {
      const page = await get("api/simulator/webhooks/history", { limit: 100 }, signal);
      const before = JSON.stringify(shown);
      shown = page.data;
      total.textContent = count(page.meta.total);
      if (JSON.stringify(shown) !== before || !list.children.length) draw();
    } catch (error) {
      if (isOvertaken(error)) return;
      if (error.code === "SIMULATOR_OFF") {
        isOff = true;
        send.disabled = true;
        send.title = "The simulator is off";
        fill(said, msg("", "info", "The simulator is off: simulator.enabled turns it on. The form shows what it would send."));
        fill(list, empty({ mark: "flask", title: "The simulator is off", text: "simulator.enabled = \"true\" turns it on." }));
        fill(sums);
      } else fill(list, failureCard(error, ask));
    }
  }
  relabel();
  ask();
  every(ASK_MS, async () => { if (!isOff && (shown.some((it) => it.status === "pending") || !shown.length)) await ask(); }, signal);
  return { keys: { send: () => form.requestSubmit() } };
}

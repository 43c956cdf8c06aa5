// A contact made or edited; where somebody else was faster, the three states side by side.
import { fill, foreign, h, icon, mute, newId, one, plain, strong } from "./dom.js";
import { call, get } from "./api.js";
import { FIELDS, fieldName, fullName, nameOrElse, shown } from "./format.js";
import { button, msg, refusal } from "./ui.js";
import { dialog } from "./dialogs.js";
import { author, equal, flat, label } from "./history.js";

const KINDS = { email: "email", phone: "tel" };
const path = (id) => `api/contacts/${encodeURIComponent(id)}`;

// Text of an attribute's field: text as it is, everything else as JSON.
const toText = (value) => (typeof value === "string" && !looksLikeJson(value) ? value : JSON.stringify(value));
const looksLikeJson = (text) => { try { JSON.parse(text); return true; } catch { return false; } };
const fromText = (text) => { try { return JSON.parse(text); } catch { return text; } };

function attributeRow(name = "", value = "") {
  const key = h("input", { class: "in", "aria-label": "Attribute’s name", value: name, autocomplete: "off" });
  const text = h("input", { class: "in", "aria-label": name ? `Value of ${plain(name)}` : "Attribute’s value", value, autocomplete: "off" });
  const row = h("div", { class: "att" }, key, text, button("", () => row.remove(), { kind: "quiet icon", mark: "cross", label: name ? `Take ${plain(name)} away` : "Take this attribute away" }));
  row.read = () => [key.value.trim(), text.value];
  return row;
}

// What a form says, as a merge patch of what differs.
function patchOf(before, fields, attributes) {
  const patch = {};
  for (const name of FIELDS) {
    const value = fields[name] || null;
    if (!equal(value, before?.[name] ?? null)) patch[name] = value;
  }
  const own = {};
  for (const [name, value] of Object.entries(attributes)) if (!equal(value, before?.attributes[name])) own[name] = value;
  for (const name of Object.keys(before?.attributes ?? {})) if (!(name in attributes)) own[name] = null;
  if (Object.keys(own).length) patch.attributes = own;
  return patch;
}

export function openForm(contact, { etag: firstTag = null, saved }) {
  let before = contact, etag = firstTag;
  const inputs = {}, errors = {};
  const field = (name) => {
    const id = newId("field");
    inputs[name] = h("input", { class: "in", id, type: KINDS[name] ?? "text", value: contact?.[name] ?? "", autocomplete: "off", name });
    errors[name] = h("span", { class: "err", id: `${id}-e`, hidden: true });
    return h("div", { class: "field" }, h("label", { for: id }, fieldName(name)), inputs[name], errors[name]);
  };
  const list = h("div", { class: "stack-2" }, Object.entries(contact?.attributes ?? {}).map(([name, value]) => attributeRow(name, toText(value))));
  const said = h("div", {});
  const form = h("form", { class: "stack", id: newId("form"), novalidate: true }, said, h("div", { class: "form-2" }, FIELDS.map(field)),
    h("fieldset", {}, h("legend", { class: "lg" }, "Attributes"), h("div", { class: "stack-2" }, list, h("div", {}, button("Add an attribute", () => { const row = attributeRow(); list.append(row); one("input", row).focus(); }, { kind: "small-b", mark: "plus" })))));
  const submit = h("button", { class: "btn primary", type: "submit", form: form.id, "aria-keyshortcuts": "Control+Enter" }, contact ? "Save" : "Make the contact");
  const title = contact ? `Edit ${plain(nameOrElse(contact))}` : "New contact";
  const box = dialog(title, (close) => ({ body: form, foot: [button("Cancel", close), submit] }), { kind: "mid-w" });

  const read = () => {
    const fields = Object.fromEntries(FIELDS.map((name) => [name, inputs[name].value.trim()]));
    const attributes = Object.fromEntries([...list.children].map((row) => row.read()).filter(([name]) => name).map(([name, text]) => [name, fromText(text)]));
    return patchOf(before, fields, attributes);
  };
  const say = (kind, text) => fill(said, text && msg(kind, kind === "bad" ? "stop" : kind === "warn" ? "warn" : "info", text));

  function refuse(error) {
    const problems = error.details?.fields ?? {};
    let first = null;
    const left = [];
    for (const [name, problem] of entries(problems)) {
      const known = name.split(/[./]/)[0];
      const shownAt = errors[known];
      if (!shownAt) { left.push(`${name} ${problem}`); continue; }
      fill(shownAt, icon("stop"), problem);
      shownAt.hidden = false;
      inputs[known].setAttribute("aria-invalid", "true");
      inputs[known].setAttribute("aria-describedby", shownAt.id);
      first ??= inputs[known];
    }
    if (left.length || !first) say("bad", left.length ? left.join("; ") : refusal(error));
    (first ?? one("input", form)).focus();
  }

  function clearErrors() {
    say("", null);
    for (const name of FIELDS) { errors[name].hidden = true; inputs[name].removeAttribute("aria-invalid"); inputs[name].removeAttribute("aria-describedby"); }
  }

  const send = (patch) => (contact
    ? call("PATCH", path(contact.id), { body: patch, type: "application/merge-patch+json", headers: { "If-Match": etag } })
    : call("POST", "api/contacts", { body: patch }));

  async function save(patch) {
    if (submit.getAttribute("aria-busy") === "true") return;
    submit.setAttribute("aria-busy", "true");
    clearErrors();
    try {
      const answer = await send(patch);
      box.close();
      saved(answer.status === 202 ? { id: answer.data.contactId } : answer.data, answer);
    } catch (error) {
      if (contact && (error.status === 412 || error.code === "SUPERSEDED")) await conflict(patch);
      else refuse(error);
    } finally { submit.removeAttribute("aria-busy"); }
  }

  async function conflict(patch) {
    try {
      const [now, page] = await Promise.all([call("GET", path(contact.id)), get(`${path(contact.id)}/history`, { limit: 1 }).catch(() => null)]);
      const by = page?.data[0] ? author(page.data[0]) : now.data.source ?? "somebody";
      openConflict({ began: before, now: now.data, by, patch, dropped: () => box.close(), save: (merged) => {
        before = now.data;
        etag = now.etag;
        return Object.keys(merged).length ? save(merged) : box.close();
      } });
    } catch (error) {
      say("bad", error.status === 404 ? "Somebody deleted this contact meanwhile. Nothing of yours is saved." : refusal(error));
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const patch = read();
    if (!Object.keys(patch).length) { say("", contact ? "Nothing is different yet." : "A contact needs at least one value."); return; }
    save(patch);
  });
  one("input", form).focus();
}

const entries = (problems) => (Array.isArray(problems) ? problems.map((it) => [it.field ?? it.name ?? "", it.problem ?? it.message ?? ""]) : Object.entries(problems)).map(([name, problem]) => [name, Array.isArray(problem) ? problem.join(", ") : String(problem)]);

// ---- when both changed it
const flatPatch = (patch) => {
  const out = {};
  for (const [name, value] of Object.entries(patch)) if (name !== "attributes") out[name] = value;
  for (const [name, value] of Object.entries(patch.attributes ?? {})) out[`attributes.${name}`] = value;
  return out;
};
const toPatch = (fields) => {
  const patch = {};
  for (const [name, value] of Object.entries(fields)) {
    if (name.startsWith("attributes.")) (patch.attributes ??= {})[label(name)] = value;
    else patch[name] = value;
  }
  return patch;
};

function openConflict({ began, now, by, patch, dropped, save }) {
  const was = flat(began), is = flat(now), mine = flatPatch(patch);
  const names = [...new Set([...Object.keys(mine), ...Object.keys(is), ...Object.keys(was)])].filter((name) => name !== "status" && (name in mine || !equal(was[name], is[name])));
  const chosen = {};
  const value = (it) => (it === null || it === undefined ? mute("empty") : foreign(shown(it)));
  const row = (name) => {
    const theirs = !equal(was[name], is[name]), ours = name in mine;
    const clash = theirs && ours && !equal(is[name], mine[name]);
    const group = newId("choice");
    const radio = (which, it, checked) => h("label", { class: "tick" }, h("input", { type: "radio", name: group, checked, on: { change: () => { chosen[name] = which; } } }), h("span", {}, value(it)));
    if (clash) chosen[name] = "mine";
    const settled = (it) => h("span", { class: "row" }, icon("check", "okc"), value(it));
    return h("tr", {}, h("th", { scope: "row" }, FIELDS.includes(name) ? fieldName(name) : foreign(label(name))),
      h("td", { class: "mute", "data-l": "you began" }, h("span", {}, value(was[name]))),
      h("td", { class: theirs ? null : "mute", "data-l": `now, ${plain(by)}` }, h("span", {}, clash ? radio("theirs", is[name], false) : theirs ? settled(is[name]) : "as it was")),
      h("td", { class: ours ? null : "mute", "data-l": "yours" }, h("span", {}, clash ? radio("mine", mine[name], true) : ours ? settled(mine[name]) : "as it was")));
  };
  dialog(`Edit ${plain(fullName(began) || nameOrElse(began))}`, (close) => ({
    body: [
      h("div", { class: "msg warn", role: "alert" }, icon("warn"), h("div", {}, strong(foreign(by), " changed this contact while you were editing."), h("br"),
        h("span", { class: "mid" }, `You began with version ${began.version}; it is now version ${now.version}. Nothing of yours is saved yet. Choose what should stand where both of you changed the same field.`))),
      h("div", { class: "scroll" }, h("table", { class: "cmp" }, h("thead", {}, h("tr", {}, ["Field", "When you began", `Now, by ${plain(by)}`, "Yours"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, names.map(row)))),
      h("p", { class: "small mute" }, "Changes to different fields need no choice: both stay."),
    ],
    foot: [button("Throw mine away", () => { close(); dropped(); }, { kind: "quiet" }), h("span", { class: "grow hide-s" }), button("Back to the form", close),
      button(`Save on top of version ${now.version}`, () => {
        const kept = Object.fromEntries(Object.entries(mine).filter(([name]) => chosen[name] !== "theirs" && !equal(is[name], mine[name])));
        close();
        save(toPatch(kept));
      }, { kind: "primary" })],
  }), { kind: "mid-w" });
}

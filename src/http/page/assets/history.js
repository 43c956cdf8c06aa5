// What a contact's history tells: what each change did, and since when and by whom a field has its value.
import { get } from "./api.js";
import { FIELDS, who } from "./format.js";

const PAGE = 100;
const PAGES_MAX = 10;
export const LATE_MS = 60_000;

const SAME = new Set(["version", "sourceVersion", "source", "createdAt", "updatedAt", "changedAt", "id", "attributes", "externalIds"]);
export const equal = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);

// Every field with a value of a contact; attributes and ids of sources under names of their own.
export function flat(contact) {
  const fields = {};
  for (const [name, value] of Object.entries(contact ?? {})) if (!SAME.has(name)) fields[name] = value;
  for (const [name, value] of Object.entries(contact?.attributes ?? {})) fields[`attributes.${name}`] = value;
  for (const [name, value] of Object.entries(contact?.externalIds ?? {})) fields[`id at ${name}`] = value;
  return fields;
}

export const label = (name) => name.replace(/^attributes\./, "");

const rank = (name) => {
  const place = FIELDS.indexOf(name);
  return place < 0 ? FIELDS.length + (name === "status" ? 1 : 0) : place;
};

// Fields that differ, in the order of the form.
export function difference(before, after) {
  const one = flat(before), other = flat(after);
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return names.filter((name) => !equal(one[name], other[name])).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map((name) => ({ name, before: one[name] ?? null, after: other[name] ?? null }));
}

export const author = (change) => (change.principal ? who(change.principal) : change.source);
export const lateMs = (change) => (change.timestamp ? new Date(change.recordedAt) - new Date(change.timestamp) : 0);

// A contact's changes, newest first, page by page.
export function historyOf(id, signal) {
  let cursor = null, begun = false, pages = 0;
  const path = `api/contacts/${encodeURIComponent(id)}/history`;
  const list = [];
  const reader = {
    list,
    get isWhole() { return begun && !cursor; },
    get isAtBound() { return pages >= PAGES_MAX; },
    async more() {
      if (begun && !cursor) return false;
      const page = await get(path, { limit: PAGE, cursor }, signal);
      begun = true;
      pages += 1;
      cursor = page.meta.nextCursor;
      list.push(...page.data);
      return true;
    },
    // What changed with the change at a place; null: what was before is not loaded.
    at(index) {
      const before = list[index + 1];
      if (!before && !reader.isWhole) return null;
      return difference(before?.contact ?? null, list[index].contact);
    },
  };
  return reader;
}

// Of each field the change that gave it its present value, and the stories of all.
export async function origins(reader, contact) {
  const now = flat(contact);
  const stories = Object.fromEntries(Object.keys(now).map((name) => [name, []]));
  const open = () => Object.keys(stories).filter((name) => !reader.isWhole && stories[name].length === 0);
  if (!reader.list.length) await reader.more();
  for (;;) {
    for (const name of Object.keys(stories)) stories[name] = [];
    for (let i = 0; i < reader.list.length; i += 1) {
      const after = flat(reader.list[i].contact);
      const before = reader.list[i + 1] ? flat(reader.list[i + 1].contact) : reader.isWhole ? {} : null;
      if (!before) break;
      for (const name of Object.keys(stories)) {
        if (!equal(before[name], after[name])) stories[name].push({ change: reader.list[i], value: after[name] ?? null });
      }
    }
    if (!open().length || reader.isWhole || reader.isAtBound) return stories;
    await reader.more();
  }
}

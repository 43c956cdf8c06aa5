// Numbers, times and names, as people read them.
import { h } from "./dom.js";

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const short = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hour12: false });
const date = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });
const dated = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", year: "numeric" });

export const UNKNOWN = "–";
const isKnown = (value) => value !== null && value !== undefined && !Number.isNaN(value);

export const count = (value) => (isKnown(value) ? whole.format(value) : "unknown");
export const decimal = (value) => (isKnown(value) ? tenths.format(value) : UNKNOWN);
export const rate = (value) => (!isKnown(value) ? UNKNOWN : value >= 10 ? whole.format(value) : tenths.format(value));
export const many = (number, word, more = `${word}s`) => `${count(number)} ${number === 1 ? word : more}`;
export const brief = (value) =>
  value >= 1e6 ? `${tenths.format(value / 1e6)} M` : value >= 1e4 ? `${tenths.format(value / 1e3)} k` : tenths.format(value);

export const bytes = (value) => {
  if (!isKnown(value)) return "unknown";
  let size = value;
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (size < 1000) return `${size >= 100 || unit === "B" ? whole.format(size) : tenths.format(size)} ${unit}`;
    size /= 1000;
  }
  return `${tenths.format(size)} TB`;
};

export const percent = (part, sum) => {
  if (!sum) return "0 %";
  const value = (part / sum) * 100;
  return value > 0 && value < 0.1 ? "< 0.1 %" : `${tenths.format(value)} %`;
};

// A time that something took or takes.
export const span = (seconds) => {
  if (!isKnown(seconds)) return "unknown";
  if (seconds < 1) return seconds < 0.05 ? "0 s" : `${tenths.format(seconds)} s`;
  if (seconds < 60) return `${whole.format(Math.floor(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
};

const sameDay = (one, other) => one.toDateString() === other.toDateString();

// Within an hour relative, the same day the clock, else the day.
export const timeText = (iso, { precise = false } = {}) => {
  if (!iso) return UNKNOWN;
  const at = new Date(iso), now = new Date();
  const ago = (now - at) / 1000;
  if (!precise && ago >= 0 && ago < 3600) return ago < 60 ? `${Math.floor(ago)} s` : `${Math.floor(ago / 60)} min`;
  if (sameDay(at, now)) return clock.format(at);
  const day = (at.getFullYear() === now.getFullYear() ? date : dated).format(at);
  return `${day}, ${short.format(at)}`;
};

// The same within a sentence.
export const timeWords = (iso) => {
  const ago = (Date.now() - new Date(iso)) / 1000;
  if (ago >= 0 && ago < 2) return "a moment ago";
  if (ago >= 0 && ago < 3600) return `${span(ago)} ago`;
  return timeText(iso);
};

export const when = (iso, options) => (iso ? h("time", { datetime: iso, title: iso }, timeText(iso, options)) : h("span", { class: "mute" }, UNKNOWN));
export const clockText = (at) => clock.format(new Date(at));
export const minuteText = (at) => short.format(new Date(at));
export const millisText = (iso) => {
  const at = new Date(iso);
  return `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
};
export const dayText = (iso) => {
  const at = new Date(iso), now = new Date();
  return sameDay(at, now) ? timeText(iso) : (at.getFullYear() === now.getFullYear() ? date : dated).format(at);
};
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

// Stable words of programs, for people.
export const words = (word) => String(word ?? "").replaceAll("_", " ");

export const FIELDS = ["firstName", "lastName", "email", "phone", "company", "title"];
const NAMES = { firstName: "First name", lastName: "Last name", email: "E-mail", phone: "Phone", company: "Company", title: "Title", status: "Status" };
export const fieldName = (name) => NAMES[name] ?? name;

export const fullName = (contact) => [contact.firstName, contact.lastName].filter((it) => it?.trim()).join(" ");
export const nameOrElse = (contact) => fullName(contact) || contact.email || contact.id;
export const initials = (contact) => {
  const parts = [contact.firstName, contact.lastName].map((it) => /[\p{L}\p{N}]/u.exec(it ?? "")?.[0] ?? "");
  return parts.join("").toUpperCase() || "–";
};
export const middle = (text, head = 8, tail = 4) => (text.length > head + tail + 1 ? `${text.slice(0, head)}…${tail ? text.slice(-tail) : ""}` : text);
// `user:ada` without its kind; a key is named as one.
export const who = (principal) => {
  const [kind, ...name] = String(principal).split(":");
  return kind === "key" ? `key ${name.join(":")}` : name.join(":") || kind;
};
export const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// Bytes of unknown origin, shown so that they can do nothing: every piece is a text node. Control, invisible and
// direction-changing characters become visible marks; what is not UTF-8 stays a byte.
import { h } from "./dom.js";

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u00a0\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/u;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const mark = (text, kind, title = null) => h("span", { class: kind, title }, text);
const lengthOf = (first) => (first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0);

// Pieces of text; `bad` gets the places that are not UTF-8.
export function asText(bytes, bad = new Set()) {
  const out = document.createDocumentFragment();
  let plain = "";
  const flush = () => { if (plain) out.append(plain); plain = ""; };
  for (let i = 0; i < bytes.length;) {
    const length = lengthOf(bytes[i]);
    let character = null;
    if (length) try { character = decoder.decode(bytes.subarray(i, i + length)); } catch { character = null; }
    if (character === null) {
      flush();
      bad.add(i);
      out.append(mark(`\\x${bytes[i].toString(16).padStart(2, "0")}`, "bytebad", `byte ${i}: not UTF-8`));
      i += 1;
    } else {
      if (HIDDEN.test(character)) {
        flush();
        out.append(mark(`\\u{${character.codePointAt(0).toString(16)}}`, "ctl", `byte ${i}: shown, not obeyed`));
      } else plain += character;
      i += length;
    }
  }
  flush();
  return out;
}

// 16 bytes a row, 8 where there is little room; four digits reach, since at most 64 KiB are kept.
export function asHex(bytes, bad = new Set(), per = matchMedia("(max-width: 719px)").matches ? 8 : 16) {
  const out = document.createDocumentFragment();
  for (let at = 0; at < bytes.length; at += per) {
    const row = bytes.subarray(at, at + per);
    let run = "", plain = "";
    out.append(mark(at.toString(16).padStart(4, "0"), "hx-o"), " ");
    for (let i = 0; i < per; i += 1) {
      const hex = i < row.length ? row[i].toString(16).padStart(2, "0") : "  ";
      if (bad.has(at + i)) { out.append(run, mark(hex, "bytebad")); run = " "; } else run += `${hex} `;
    }
    for (const byte of row) plain += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·";
    out.append(run, plain, "\n");
  }
  return out;
}

export const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// JSON with its kinds coloured; built of text nodes as well.
export function asJson(value) {
  const out = document.createDocumentFragment();
  const text = JSON.stringify(value, null, 2).replace(/[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g, (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const token = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
  let last = 0;
  for (const found of text.matchAll(token)) {
    out.append(text.slice(last, found.index));
    const [all, string, colon, word] = found;
    out.append(string ? mark(string, colon ? "jk" : "js") : mark(all, word ? "jw" : "jn"));
    if (colon) out.append(colon);
    last = found.index + all.length;
  }
  out.append(text.slice(last));
  return out;
}

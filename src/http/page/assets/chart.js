// Charts as SVG: no library, coloured by tokens, named for screen readers, read out under the pointer and by arrow keys.
import { svg } from "./dom.js";
import { brief, clockText, decimal } from "./format.js";

// A scale's end that people can say, close above the data.
const round = (top) => {
  if (!(top > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * power >= top) * power;
};

// Values with places where nothing is known: the line has gaps there.
export function line(box, values, { name = "", unit = "", other = null, times = [], readout = null, dots = true } = {}) {
  const wide = box.clientWidth || 240, high = box.clientHeight || 64;
  const known = values.filter((it) => it !== null);
  const top = round(Math.max(0, ...known, ...(other ?? []).filter((it) => it !== null)) * 1.02);
  const x = (i) => (values.length > 1 ? (i / (values.length - 1)) * wide : wide);
  const y = (v) => high - (v / top) * (high - 6);
  const path = (list) => {
    let pen = "M";
    return list.map((v, i) => {
      if (v === null) { pen = "M"; return ""; }
      const piece = `${pen}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      pen = "L";
      return piece;
    }).join("");
  };
  const area = () => {
    let out = "", from = -1;
    values.forEach((v, i) => {
      if (v !== null && from < 0) from = i;
      const ends = v !== null && (i === values.length - 1 || values[i + 1] === null);
      if (ends) { out += `M${x(from).toFixed(1)} ${high}${values.slice(from, i + 1).map((it, k) => `L${x(from + k).toFixed(1)} ${y(it).toFixed(1)}`).join("")}L${x(i).toFixed(1)} ${high}Z`; from = -1; }
    });
    return out;
  };
  const node = svg("svg", { viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" });
  const part = (kind, attributes) => { const it = svg(kind, attributes); node.append(it); return it; };
  part("line", { class: "gl", x1: 0, x2: wide, y1: y(top / 2), y2: y(top / 2) });
  part("line", { class: "base", x1: 0, x2: wide, y1: high - 0.5, y2: high - 0.5 });
  part("path", { class: "area", d: area() });
  if (other) part("path", { class: "line-2", d: path(other) });
  part("path", { class: "line", d: path(values) });
  const end = values.length - 1, last = values[end];
  const dot = part("circle", { class: "dot", r: 3.5, cx: x(end), cy: y(last ?? 0), visibility: dots && last !== null && last !== undefined ? "visible" : "hidden" });
  const at = part("line", { class: "at", y1: 0, y2: high, visibility: "hidden" });
  box.replaceChildren(node);

  box.tabIndex = 0;
  box.setAttribute("role", "img");
  const least = known.length ? Math.min(...known) : null;
  box.setAttribute("aria-label", known.length ? `${name}: now ${decimal(last)} ${unit}, between ${decimal(least)} and ${decimal(Math.max(...known))} in this time` : `${name}: nothing known in this time`);
  let index = end;
  const still = readout?.textContent;
  const show = (i) => {
    if (!values.length) return;
    index = Math.max(0, Math.min(end, i));
    for (const side of ["x1", "x2"]) at.setAttribute(side, x(index));
    at.setAttribute("visibility", "visible");
    if (values[index] !== null) { dot.setAttribute("cx", x(index)); dot.setAttribute("cy", y(values[index])); dot.setAttribute("visibility", "visible"); }
    if (readout) readout.textContent = `${values[index] === null ? "nothing" : `${decimal(values[index])} ${unit}`} · ${times[index] ? clockText(times[index]) : ""}`;
  };
  const rest = () => {
    at.setAttribute("visibility", "hidden");
    dot.setAttribute("cx", x(end));
    dot.setAttribute("cy", y(last ?? 0));
    if (readout && still !== undefined) readout.textContent = still;
  };
  box.onpointermove = (event) => show(Math.round((event.offsetX / wide) * end));
  box.onpointerleave = rest;
  box.onblur = rest;
  box.onkeydown = (event) => {
    if (event.key === "ArrowLeft") show(index - 1); else if (event.key === "ArrowRight") show(index + 1); else return;
    event.preventDefault();
  };
}

// Columns: [{ at, values: { applied: 1, … } }], keys in stacking order from the bottom.
export function stack(box, columns, keys, name) {
  const wide = box.clientWidth || 480, high = box.clientHeight || 148, gap = wide < 400 ? 2 : 3;
  const sums = columns.map((column) => keys.reduce((sum, key) => sum + (column.values[key] ?? 0), 0));
  const top = round(Math.max(0, ...sums));
  const left = 40, foot = 18, tall = high - foot - 8, each = (wide - left) / Math.max(columns.length, 1);
  const node = svg("svg", { viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" });
  const part = (kind, attributes, text) => { const it = svg(kind, attributes); if (text !== undefined) it.textContent = text; node.append(it); };
  for (const share of [0, 0.5, 1]) {
    const y = 8 + tall - share * tall;
    part("line", { class: "gl", x1: left, x2: wide, y1: y, y2: y });
    part("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, brief(share * top));
  }
  columns.forEach((column, i) => {
    let y = 8 + tall;
    for (const key of keys) {
      const size = ((column.values[key] ?? 0) / top) * tall;
      // Too thin to see is left out, but what is lost to a dead letter never is.
      if (size < (key === "dead_lettered" ? 0.05 : 0.4)) continue;
      const shown = key === "dead_lettered" ? Math.max(size, 1.5) : size;
      y -= shown;
      part("rect", { class: `s-${key}`, x: left + i * each + gap / 2, y, width: Math.max(each - gap, 1), height: shown });
    }
    if (column.at) part("text", { x: Math.min(left + (i + 0.5) * each, wide - 14), y: high - 2, "text-anchor": "middle" }, column.at);
  });
  box.replaceChildren(node);
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", name);
}

// A row of small bars; few are drawn small, so that one does not look like an outbreak.
export function spark(values, { isHot = false, least = 5 } = {}) {
  const wide = 72, high = 20, top = Math.max(...values, least), each = wide / values.length;
  const node = svg("svg", { class: `spark ${isHot ? "hot" : ""}`, viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" });
  values.forEach((v, i) => {
    const tall = Math.max((v / top) * high, v ? 2 : 1);
    node.append(svg("rect", { x: (i * each).toFixed(1), y: (high - tall).toFixed(1), width: Math.max(each - 1, 1).toFixed(1), height: tall.toFixed(1), opacity: v ? 1 : 0.35 }));
  });
  return node;
}

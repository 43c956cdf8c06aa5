// A long table of which only what is near the screen stands in the document; the rest is space.
import { fill, h, one } from "./dom.js";

const ROWS_MAX = 160;
const SPARE = 40;
const ROW_PX = 36;

// `draw(item, index)` gives a row; `more()` is asked for when the end comes near.
export function longTable(body, { columns, draw, more, signal }) {
  let items = [], first = 0, last = 0, rowPx = ROW_PX, asked = false;
  const space = (count) => {
    const cell = h("td", { colspan: columns });
    cell.style.height = `${count * rowPx}px`;
    return h("tr", { class: "space", "aria-hidden": "true" }, cell);
  };
  const measure = () => {
    const row = one("tr:not(.space)", body);
    if (row?.offsetHeight) rowPx = row.offsetHeight;
  };
  const paint = () => {
    const rows = items.slice(first, last).map((item, i) => draw(item, first + i));
    fill(body, first > 0 && space(first), rows, last < items.length && space(items.length - last));
    measure();
  };
  const look = () => {
    const top = body.getBoundingClientRect().top;
    const from = Math.floor(Math.max(0, -top) / rowPx), to = Math.ceil((innerHeight - top) / rowPx);
    if (items.length > ROWS_MAX && (from < first + SPARE / 4 || to > last - SPARE / 4)) {
      const start = Math.max(0, Math.min(from - SPARE, items.length - ROWS_MAX));
      const end = Math.min(items.length, Math.max(to + SPARE, start + ROWS_MAX));
      if (start !== first || end !== last) { first = start; last = end; paint(); }
    }
    if (to > items.length - SPARE / 2 && !asked) {
      asked = true;
      Promise.resolve(more()).finally(() => { asked = false; });
    }
  };
  let waits = false;
  const soon = () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; if (!signal.aborted) look(); });
  };
  addEventListener("scroll", soon, { signal, passive: true });
  addEventListener("resize", soon, { signal });
  return {
    set(list) {
      items = list;
      last = Math.min(items.length, Math.max(last, ROWS_MAX));
      if (last - first > ROWS_MAX * 1.5) first = Math.max(0, last - ROWS_MAX);
      first = Math.min(first, items.length);
      paint();
      soon();
    },
    restart() { first = 0; last = 0; },
    paint,
    // Brings a row that is not in the document there.
    reveal(index) {
      if (index < first || index >= last) { first = Math.max(0, index - ROWS_MAX / 2); last = Math.min(items.length, first + ROWS_MAX); paint(); }
    },
  };
}

// Whether contactd answers, and what a person is told of it.
const changes = new EventTarget();
const FIRST_S = 1, MOST_S = 30;

let since = null, nextAt = 0, probing = null, wake = null;
const tell = () => changes.dispatchEvent(new Event("change"));
const root = new URL("../../livez", import.meta.url);

async function probe() {
  for (let wait = FIRST_S; since !== null; wait = Math.min(wait * 2, MOST_S)) {
    nextAt = Date.now() + wait * 1000;
    tell();
    await new Promise((done) => { wake = done; setTimeout(done, wait * 1000); });
    try {
      const answer = await fetch(root, { cache: "no-store" });
      if (answer.ok) connection.alive();
    } catch { /* Not yet. */ }
  }
}

export const connection = {
  changes,
  get since() { return since; },
  get nextAt() { return nextAt; },
  lost() {
    if (since !== null) return;
    since = Date.now();
    probing ??= probe().finally(() => { probing = null; });
  },
  alive() {
    if (since === null) return;
    since = null;
    wake?.();
    tell();
  },
  now() { wake?.(); },
  slow(seconds) {
    const event = new Event("slow");
    event.seconds = seconds;
    changes.dispatchEvent(event);
  },
  back(signal) {
    return new Promise((done, failed) => {
      if (since === null) { done(); return; }
      const look = () => {
        if (since !== null) return;
        changes.removeEventListener("change", look);
        done();
      };
      changes.addEventListener("change", look);
      signal?.addEventListener("abort", () => { changes.removeEventListener("change", look); failed(signal.reason); }, { once: true });
    });
  },
};
addEventListener("online", () => connection.now());

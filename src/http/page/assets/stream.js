// The feed as a stream of events, resumed by its position. `EventSource` can send no token, so it is read by fetch.
import { Failure, isOvertaken, open } from "./api.js";
import * as session from "./session.js";

const FIRST_S = 2, MOST_S = 30;

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", event = {};
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") { yield event; event = {}; continue; }
      const colon = line.indexOf(":");
      const [name, text] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
      if (name === "data") event.data = event.data === undefined ? text : `${event.data}\n${text}`;
      else if (name) event[name] = text;
    }
  }
}

// Follows until `signal` ends it. `on`: change, position, gap, state.
export async function follow({ query, after = null, on, signal }) {
  let position = after, wait = FIRST_S;
  while (!signal.aborted) {
    try {
      const answer = await open("GET", "api/feed", { query, headers: position ? { "Last-Event-ID": position } : {}, signal, accept: "text/event-stream", once: true });
      on.state("following");
      for await (const event of events(answer.body)) {
        wait = FIRST_S;
        if (event.id) { position = event.id; on.position(position); }
        if (/^(contact|payment)\./.test(event.event ?? "")) on.change(event.event, JSON.parse(event.data));
        else if (event.event === "unauthorized") await session.refresh();
        else if (event.event === "reset" && !JSON.parse(event.data).resume) { on.gap(JSON.parse(event.data).reason); position = null; }
      }
    } catch (error) {
      if (signal.aborted || isOvertaken(error)) return;
      if (error instanceof Failure && (error.status === 410 || error.code === "INVALID_PARAMETER")) { on.gap("position_gone"); position = null; } else if (error instanceof Failure && [403, 400].includes(error.status)) { on.failed(error); return; } else on.state("broken", wait);
    }
    if (signal.aborted) return;
    on.state("waiting", wait);
    await new Promise((done) => { const timer = setTimeout(done, wait * 1000); signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true }); });
    wait = Math.min(wait * 2, MOST_S);
  }
}

// Follows the feed of changes and goes on where it was. Needs Node 18 or newer, and nothing else.
//
//   TOKEN=… node follow.mjs http://localhost:3000/api/feed?snapshot=true
//
// In a browser take `follow` alone; `EventSource` can't send a token.

/** Calls `onEvent(type, data)` for each event, and comes back when a stream ends; throws an answer of 401 or 410. */
export async function follow(url, token, onEvent) {
  let last = "", wait = 2000;
  for (;;) {
    try {
      const headers = { Authorization: `Bearer ${token()}`, ...(last && { "Last-Event-ID": last }) };
      const answer = await fetch(url, { headers });
      if (answer.status === 401 || answer.status === 410) throw answer;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "", part; !(part = await reader.read()).done; ) {
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const event = {};
          for (const line of block.split("\n")) {
            const [, name, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
            if (name) event[name] = value;
          }
          if (event.retry) wait = Number(event.retry);
          if (event.data) onEvent(event.event, JSON.parse(event.data));
          if (event.id) last = event.id;
        }
      }
    } catch (error) {
      if (error instanceof Response) throw error;
    }
    await new Promise((again) => setTimeout(again, wait));
  }
}

if (typeof process !== "undefined" && import.meta.url === `file://${process.argv[1]}`) {
  await follow(process.argv[2], () => process.env.TOKEN, (type, data) => console.log(type, JSON.stringify(data)));
}

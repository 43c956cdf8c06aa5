// The sample that follows the feed: changes come once and in order through streams that end again and
// again, and a refused token ends it.
const { resolve } = require("node:path");

const { URL: base, TOKEN } = process.env;

async function send(method, path, type, body) {
  const headers = { Authorization: `Bearer ${TOKEN}`, "Content-Type": type };
  const answer = await fetch(base + path, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function main() {
  const { follow } = await import(resolve(process.argv[2]));
  const { id } = await send("POST", "/api/contacts", "application/json", { firstName: "Ada" });
  const rename = (firstName) =>
    send("PATCH", `/api/contacts/${id}`, "application/merge-patch+json", { firstName });
  const names = ["Ada", "Grace", "Edsger", "Barbara"];
  const seen = [];
  await new Promise((done, failed) => {
    setTimeout(() => failed(new Error(`saw only ${seen}`)), 60_000).unref();
    // It ends whenever all there is has been told, and is asked for again.
    const url = `${base}/api/feed?snapshot=true&follow=false&contact=${id}`;
    follow(url, () => TOKEN, (type, data) => {
      const name = names.find((name) => JSON.stringify(data).includes(`"${name}"`));
      if (!name) return;
      seen.push(name);
      if (seen.length === names.length) done();
      else rename(names[seen.length]).catch(failed);
    }).catch(failed);
  });
  if (seen.join() !== names.join()) throw new Error(`saw ${seen}`);
  const refused = await follow(`${base}/api/feed`, () => "none", () => {}).catch((error) => error);
  if (refused.status !== 401) throw new Error(`no token: ${refused}`);
  console.log(`read ${seen.length} versions, each from a stream of its own; a refused token ends it`);
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});

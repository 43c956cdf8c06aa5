// Signs a webhook and sends it. Needs Node 18 or newer, and nothing else.
//
//   WEBHOOK_SECRET=… node send.mjs FILE [URL]     FILE: one event, or an array of them
//
// Without URL the headers are printed. WEBHOOK_SCHEME: acme (default), acme-body or standard.
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

const secret = process.env.WEBHOOK_SECRET;
const [file, url] = process.argv.slice(2);

/** The headers that vouch for these bytes; `body` must be sent as it is. */
function sign(scheme, secret, body) {
  const time = String(Math.floor(Date.now() / 1000));
  const hmac = (key, ...parts) => {
    const mac = createHmac("sha256", key);
    for (const part of parts) mac.update(part);
    return mac;
  };
  switch (scheme) {
    case "acme":
      return {
        "X-Acme-Timestamp": time,
        "X-Acme-Signature": `sha256=${hmac(secret, time, ".", body).digest("hex")}`,
      };
    case "acme-body":
      return { "X-Acme-Signature": `sha256=${hmac(secret, body).digest("hex")}` };
    case "standard": {
      const id = `msg_${randomUUID()}`;
      const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
      return {
        "webhook-id": id,
        "webhook-timestamp": time,
        "webhook-signature": `v1,${hmac(key, id, ".", time, ".", body).digest("base64")}`,
      };
    }
    default:
      throw new Error(`unknown scheme ${scheme}`);
  }
}

const body = readFileSync(file);
const headers = sign(process.env.WEBHOOK_SCHEME ?? "acme", secret, body);
if (url === undefined) {
  for (const [name, value] of Object.entries(headers)) console.log(`${name}: ${value}`);
} else {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body,
    signal: AbortSignal.timeout(30_000),
  });
  console.log(await answer.text());
  // 2xx: kept. 429 and 503: sign and send again after Retry-After. Another 4xx: sending again is in vain.
  process.exitCode = answer.ok ? 0 : 1;
}

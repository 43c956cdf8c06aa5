// Requests to the API of this origin: who asks is put in, what ended is begun again, what failed has a name.
import * as session from "./session.js";
import { connection } from "./connection.js";

const ROOT = new URL("../../", import.meta.url);
const WAIT_MAX_S = 30;

export const at = (path, query) => {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "" && value !== false) url.searchParams.set(name, value);
  }
  return url;
};

// An answer that is none of those hoped for.
export class Failure extends Error {
  constructor(status, error, headers) {
    super(error?.message ?? "no answer");
    this.status = status;
    this.code = error?.code ?? (status ? `HTTP_${status}` : "NO_CONNECTION");
    this.details = error?.details ?? {};
    this.requestId = headers?.get("x-request-id") ?? null;
    this.retryAfter = Number(headers?.get("retry-after")) || null;
  }
}

export const isOvertaken = (error) => error?.name === "AbortError";
const pause = (seconds, signal) => new Promise((done, failed) => {
  const timer = setTimeout(done, seconds * 1000);
  signal?.addEventListener("abort", () => { clearTimeout(timer); failed(signal.reason); }, { once: true });
});

async function send(method, path, { query, body, type, headers, signal, accept }) {
  const own = { Accept: accept ?? "application/json", ...headers };
  const token = session.token();
  if (token) own.Authorization = `Bearer ${token}`;
  let text;
  if (body !== undefined) {
    own["Content-Type"] = type ?? "application/json";
    text = JSON.stringify(body);
  }
  return fetch(at(path, query), { method, headers: own, body: text, signal, credentials: "same-origin", cache: "no-store" });
}

async function failure(answer) {
  const json = await answer.json().catch(() => null);
  return new Failure(answer.status, json?.error, answer.headers);
}

// The answer itself, where it is one of success.
export async function open(method, path, options = {}) {
  let refreshed = false;
  let waited = 0;
  for (;;) {
    let answer;
    await session.fresh();
    try {
      answer = await send(method, path, options);
    } catch (error) {
      if (isOvertaken(error) || options.signal?.aborted) throw error;
      connection.lost();
      // What only looks is asked again by itself; a write is nobody's but the person's.
      if (method !== "GET" || options.once) throw new Failure(0, { message: "contactd gives no answer" });
      await connection.back(options.signal);
      continue;
    }
    connection.alive();
    if (answer.ok) return answer;
    if (answer.status === 401 && !options.anonymous) {
      if (refreshed || !(await session.refresh())) await session.ended(options.signal);
      refreshed = true;
      continue;
    }
    const failed = await failure(answer);
    if (answer.status === 429 && !options.once && waited < 3 && (failed.retryAfter ?? 1) <= WAIT_MAX_S) {
      waited += 1;
      connection.slow(failed.retryAfter ?? 1);
      await pause(failed.retryAfter ?? 1, options.signal);
      continue;
    }
    throw failed;
  }
}

export async function call(method, path, options) {
  const answer = await open(method, path, options);
  const data = answer.status === 204 ? null : await answer.json();
  return { data, status: answer.status, etag: answer.headers.get("etag"), headers: answer.headers };
}

export const get = async (path, query, signal) => (await call("GET", path, { query, signal })).data;
export const post = (path, body, more) => call("POST", path, { body, ...more });

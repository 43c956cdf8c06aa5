// Who is signed in. The access token lives in memory; what it is refreshed with is a cookie that no
// script can read. Tabs tell each other, since each refresh token is good once.
const AUTH = new URL("../../api/auth/", import.meta.url);
const OF_PAGE = { "X-Contactd-Page": "1", Accept: "application/json" };
// Refreshed before it ends.
const EARLY_MS = 20_000;
const ANSWER_MS = 80;

export const changes = new EventTarget();
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("contactd.session") : null;
let access = null, endsAt = 0, refreshing = null, account = null, waiting = [];

export const token = () => access;
export const me = () => account;
const has = (...roles) => roles.some((role) => account?.roles.includes(role));
export const can = {
  look: () => has("admin", "operator", "editor", "viewer"),
  edit: () => has("admin", "editor"),
  letters: () => has("admin", "operator", "editor"),
  operate: () => has("admin", "operator"),
  all: () => has("admin"),
};

const remember = (isIn) => {
  try {
    if (isIn) localStorage.setItem("contactd.signed", "1"); else localStorage.removeItem("contactd.signed");
  } catch { /* Then the sign-in shows a moment later. */ }
};

// Refreshing that must fail counts as a try to sign in.
const mayBeIn = () => {
  try { return localStorage.getItem("contactd.signed") !== null; } catch { return true; }
};

function take({ accessToken, expiresIn, endsAt: ends }, { tell = true } = {}) {
  access = accessToken;
  endsAt = ends ?? Date.now() + expiresIn * 1000;
  remember(true);
  if (tell) tabs?.postMessage({ kind: "token", accessToken: access, endsAt });
}

tabs?.addEventListener("message", ({ data }) => {
  if (data.kind === "ask" && access && endsAt - Date.now() > EARLY_MS) tabs.postMessage({ kind: "token", accessToken: access, endsAt });
  if (data.kind === "token" && data.endsAt > endsAt) {
    const wasOut = !access;
    take(data, { tell: false });
    if (wasOut && waiting.length) proceed();
  }
  if (data.kind === "out") { forget(); changes.dispatchEvent(new Event("out")); }
});

function forget() {
  access = null;
  endsAt = 0;
  account = null;
  remember(false);
}

const askTabs = () => new Promise((done) => {
  if (!tabs) { done(false); return; }
  const before = endsAt;
  tabs.postMessage({ kind: "ask" });
  setTimeout(() => done(endsAt > before && endsAt - Date.now() > EARLY_MS), ANSWER_MS);
});

async function refreshNow() {
  const before = access;
  const act = async () => {
    // Another tab may have been faster.
    if (access !== before && endsAt - Date.now() > EARLY_MS) return true;
    const answer = await fetch(new URL("cookie/refresh", AUTH), { method: "POST", headers: OF_PAGE, credentials: "same-origin" });
    if (!answer.ok) {
      if (answer.status === 401 || answer.status === 403) return false;
      throw new Error(`refreshing was answered ${answer.status}`);
    }
    take(await answer.json());
    return true;
  };
  return navigator.locks ? navigator.locks.request("contactd.refresh", act) : act();
}

// True: there is a new access token.
export function refresh() {
  refreshing ??= refreshNow().catch(() => false).finally(() => { refreshing = null; });
  return refreshing;
}

export const fresh = async () => {
  if (access && endsAt - Date.now() < EARLY_MS) await refresh();
};

async function learn() {
  const answer = await fetch(new URL("me", AUTH), { headers: { Authorization: `Bearer ${access}`, Accept: "application/json" }, cache: "no-store" });
  if (!answer.ok) return false;
  account = await answer.json();
  return true;
}

// After a reload: another tab's token, or a new one for the cookie.
export async function restore() {
  if (!mayBeIn()) return false;
  if (!(await askTabs()) && !(await refresh())) { forget(); return false; }
  return learn();
}

export async function signIn(username, password) {
  const answer = await fetch(new URL("cookie", AUTH), {
    method: "POST",
    headers: { ...OF_PAGE, "Content-Type": "application/json" },
    credentials: "same-origin",
    body: JSON.stringify(username.includes("@") ? { email: username, password } : { username, password }),
  });
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) return { status: answer.status, code: json.error?.code, message: json.error?.message, retryAfter: Number(answer.headers.get("retry-after")) || null };
  const before = account?.principal;
  take(json);
  await learn();
  if (before && before !== account?.principal) changes.dispatchEvent(new Event("other"));
  proceed();
  return null;
}

function proceed() {
  const all = waiting;
  waiting = [];
  changes.dispatchEvent(new Event("in"));
  for (const go of all) go();
}

// The sign-in has ended: whoever asks waits until somebody has signed in again, over the same address.
export function ended(signal) {
  access = null;
  endsAt = 0;
  changes.dispatchEvent(new Event("ended"));
  return new Promise((go, failed) => {
    waiting.push(go);
    signal?.addEventListener("abort", () => failed(signal.reason), { once: true });
  });
}

export async function signOut() {
  const bearer = access;
  tabs?.postMessage({ kind: "out" });
  if (bearer) {
    await fetch(new URL("logout", AUTH), { method: "POST", headers: { Authorization: `Bearer ${bearer}` }, credentials: "same-origin" }).catch(() => null);
  }
  forget();
  changes.dispatchEvent(new Event("out"));
}

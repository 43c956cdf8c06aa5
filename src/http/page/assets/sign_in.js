// Signing in: over whatever was shown, so that nothing typed is lost.
import { fill, h, icon, one } from "./dom.js";
import { at, get } from "./api.js";
import { st } from "./ui.js";
import * as session from "./session.js";

const TEXTS = {
  INVALID_CREDENTIALS: "User and password do not fit.",
  SESSIONS_UNAVAILABLE: "Sign-ins can’t be kept just now. Try again in a moment.",
  NOT_READY: "contactd is still starting. Try again in a moment.",
};

export function hideSignIn() {
  const host = one("#sign");
  host.hidden = true;
  fill(host);
  one("#frame").hidden = false;
}

async function state(foot) {
  try {
    const health = await get("healthz");
    fill(foot, st(health.status === "ready" ? "ok" : "warn", words(health.status)), h("span", {}, `${health.version} · ${health.commit.slice(0, 8)}`), h("a", { href: at("docs").href }, "API"));
  } catch { fill(foot, st("bad", "no answer"), h("a", { href: at("docs").href }, "API")); }
}
const words = (status) => status.replaceAll("_", " ");

export function showSignIn({ hasEnded = false }) {
  const host = one("#sign");
  if (!host.hidden) return;
  one("dialog[open]")?.close?.();
  const known = session.me()?.username ?? "";
  const user = h("input", { class: "in", id: "u", name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", value: known });
  const password = h("input", { class: "in", id: "p", name: "password", type: "password", autocomplete: "current-password" });
  const wrong = h("span", { class: "err", id: "pe", role: "alert", hidden: true });
  const submit = h("button", { class: "btn primary", type: "submit" }, "Sign in");
  const foot = h("footer", { class: "small mute" });
  const refuse = (text) => {
    fill(wrong, icon("stop"), text);
    wrong.hidden = false;
    password.setAttribute("aria-invalid", "true");
    password.setAttribute("aria-describedby", "pe");
  };
  const countDown = (seconds) => {
    let left = seconds;
    submit.disabled = true;
    const step = () => {
      submit.textContent = left > 0 ? `Again in ${left} s` : "Sign in";
      submit.disabled = left > 0;
      left -= 1;
      if (left >= 0) setTimeout(step, 1000);
    };
    step();
  };
  const go = async (event) => {
    event.preventDefault();
    if (submit.getAttribute("aria-busy") === "true") return;
    submit.setAttribute("aria-busy", "true");
    try {
      const refused = await session.signIn(user.value.trim(), password.value);
      if (!refused) return;
      if (refused.status === 429) countDown(refused.retryAfter ?? 5);
      refuse(refused.status === 429 ? "Too many tries. Wait a moment." : TEXTS[refused.code] ?? `${refused.message ?? "That did not work"} (${refused.code ?? refused.status})`);
      password.value = "";
      password.focus();
    } catch { refuse("contactd gives no answer. Try again in a moment."); } finally { submit.removeAttribute("aria-busy"); }
  };
  fill(host, h("main", { class: "sign" },
    h("form", { "aria-labelledby": "si", novalidate: true, on: { submit: go } },
      h("h1", { class: "brand", id: "si" }, icon("logo"), h("span", {}, "contactd")),
      hasEnded && h("div", { class: "msg", role: "status" }, icon("clock"), h("div", {}, "Your sign-in has ended. What you were looking at comes back once you are in.")),
      h("div", { class: "field" }, h("label", { for: "u" }, "User"), user),
      h("div", { class: "field" }, h("label", { for: "p" }, "Password"), password, wrong), submit), foot));
  one("#frame").hidden = true;
  host.hidden = false;
  document.title = "Sign in · contactd";
  delete document.documentElement.dataset.out;
  (known ? password : user).focus();
  state(foot);
}

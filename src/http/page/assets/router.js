// The view is in the address, so that back, reload and a link that is sent work.
const changes = new EventTarget();

export const parse = (hash) => {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { path: path || "overview", params: Object.fromEntries(new URLSearchParams(query)) };
};

export const link = (path, params = {}) => {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) query.set(name, value);
  }
  const text = query.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
};

export const route = () => parse(location.hash);

export const go = (path, params, { replace = false } = {}) => {
  const to = link(path, params);
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, "", to);
    changes.dispatchEvent(new Event("change"));
  } else location.hash = to;
};

// The same view with some parameters changed.
export const turn = (changed, options) => {
  const { path, params } = route();
  go(path, { ...params, ...changed }, options);
};

export const listen = (act) => {
  addEventListener("hashchange", act);
  changes.addEventListener("change", act);
};

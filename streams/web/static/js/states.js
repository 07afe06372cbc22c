// The boxes that stand where there is nothing to show yet, or nothing at all.
import { h } from "./dom.js";
import { safeUrl } from "./links.js";
import { t } from "./texts.js";

/** @param {string} state the hook for tests and styles: empty, loading, error, not-ready or signed-out */
function box(state, title, text, attributes, ...actions) {
  return h("div", { class: "state", "data-state": state, "data-key": `${state} ${title}`, ...attributes },
    h("p", { class: "state-title" }, title), text && h("p", {}, text), actions.some(Boolean) && h("p", { class: "actions" }, ...actions));
}

export function loadingBox() {
  return h("div", { class: "state loading", "data-state": "loading", "data-key": "loading", role: "status" },
    h("span", { class: "unseen" }, t("state.loading")), ...[1, 2, 3].map(() => h("span", { class: "bone", "aria-hidden": "true" })));
}

export function emptyBox(title, text, ...actions) {
  return box("empty", title, text, {}, ...actions);
}

/** @param {string|null} signInUrl where a new session is to be had */
export function signedOutBox(signInUrl) {
  const href = signInUrl ? safeUrl(signInUrl, location.href) : null;
  return box("signed-out", t("state.signed-out.title"), t("state.signed-out.text"), { role: "alert" },
    href && h("a", { class: "button primary", href }, t("state.signed-out.action")));
}

/**
 * What went wrong, in words, and what to do about it.
 * @param {import("./api.js").ApiError} error
 * @param {() => void} retry
 */
export function errorBox(error, retry) {
  const kind = error.kind ?? "broken";
  const state = kind === "not-ready" ? "not-ready" : "error";
  const again = kind !== "forbidden" && kind !== "not-found";
  return box(state, t(`state.${kind}.title`), t(`state.${kind}.text`), { "data-kind": kind, role: "alert" },
    again && h("button", { type: "button", class: "button", onclick: retry }, t("state.retry")));
}

/** The line above data that could not be brought up to date. */
export function staleNote(error) {
  return h("p", { class: "note", "data-stale": error.kind ?? "broken", role: "status" }, t("state.stale"));
}

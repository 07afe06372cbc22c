// The server's API. Every failure is an `ApiError`, of a kind the page has words for.
import { authorization } from "./token.js";

const BASE = "api/v1/";
const KINDS = { 400: "bad-request", 401: "signed-out", 403: "forbidden", 404: "not-found", 422: "bad-request", 429: "too-many", 503: "not-ready" };
// What goes away by itself, so that asking again makes sense.
const PASSING = new Set(["too-many", "not-ready", "offline", "server"]);

export class ApiError extends Error {
  /**
   * @param {string} kind signed-out, forbidden, not-found, bad-request, too-many, not-ready, offline or server
   * @param {number|null} retryAfterMs when the server wants to be asked again
   * @param {string|null} signInUrl where a new session is to be had, if the server says so
   */
  constructor(kind, retryAfterMs = null, signInUrl = null) {
    super(kind);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
    this.signInUrl = signInUrl;
    this.passes = PASSING.has(kind);
  }
}

/**
 * Ask the server.
 * @param {string} path below /api/v1/
 * @param {Object<string, string|number|null|undefined>} [query] empty values are left out
 * @param {{signal?: AbortSignal, headers?: Object<string, string>}} [options]
 * @returns {Promise<Response>} one that is ok
 * @throws {ApiError} and AbortError when `signal` aborts
 */
export async function request(path, query = {}, { signal, headers = {} } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(given).toString();
  let response;
  try {
    response = await fetch(BASE + path + (search && `?${search}`), {
      headers: { Accept: "application/json", ...authorization(), ...headers }, signal, cache: "no-store", credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("offline");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const retryAfterMs = Number.isFinite(seconds) ? Math.max(1, seconds) * 1000 : null;
  return new ApiError(KINDS[response.status] ?? "server", retryAfterMs, problem?.sign_in_url ?? null);
}

/** As `request`, and read the JSON. */
export async function getJson(path, query, options) {
  const response = await request(path, query, options);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("server");
  }
}

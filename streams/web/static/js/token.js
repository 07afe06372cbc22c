// The seller's token. It comes in the fragment, which no server ever sees, and leaves the address bar at once.

const KEY = "flagged-products.token";
let token = stored();

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden in a frame; the token then lives as long as the page
  }
}

function store(value) {
  token = value;
  try {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  } catch {
    // as above
  }
}

/**
 * Take `#token=<jwt>` out of the address bar; `&to=/product/…` after it is where to go then.
 * @returns {boolean} whether there was one
 */
export function takeToken() {
  if (!location.hash.startsWith("#token=")) return false;
  const given = new URLSearchParams(location.hash.slice(1));
  const to = given.get("to") ?? "/";
  history.replaceState(null, "", `#${to.startsWith("/") ? to : "/"}`);
  store(given.get("token") || null);
  return true;
}

export const forgetToken = () => store(null);

/** The headers that tell the server who asks. */
export function authorization() {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

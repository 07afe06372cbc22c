// Where in the page one is: the part of the address after `#`.

/**
 * @returns {{view: "list", params: URLSearchParams} | {view: "details", productId: string}}
 *   what cannot be read leads to the list
 */
export function route(hash = location.hash) {
  const [path, query = ""] = split(hash.replace(/^#/, ""));
  if (path.startsWith("/product/")) {
    const productId = decoded(path.slice("/product/".length));
    if (productId) return { view: "details", productId };
  }
  return { view: "list", params: new URLSearchParams(query) };
}

function split(text) {
  const at = text.indexOf("?");
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** The hash of the list with these settings; empty ones are left out. */
export function listHash(settings) {
  const query = new URLSearchParams(Object.entries(settings).filter(([, value]) => value)).toString();
  return query ? `#/?${query}` : "#/";
}

// Links to the outside and within the page.
import { h, icon } from "./dom.js";

/**
 * A URL that may be made a link: http and https only, whatever a policy file or a token says.
 * @returns {string|null}
 */
export function safeUrl(text, base = undefined) {
  try {
    const url = new URL(text, base);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** A link that opens in a new tab, which its words say too; null where the URL may not be a link. */
export function outLink(url, label, newTab, attributes = {}) {
  const href = url === null || url === undefined ? null : safeUrl(url);
  if (href === null) return null;
  return h("a", { href, target: "_blank", rel: "noopener noreferrer", ...attributes },
    label, icon("out"), h("span", { class: "unseen" }, ` ${newTab}`));
}

/** The hash of a product's details. */
export const productHash = (productId) => `#/product/${encodeURIComponent(productId)}`;

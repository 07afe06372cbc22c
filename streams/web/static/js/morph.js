// Makes a live tree equal to a fresh one in place, so that focus, selection, open folds and scroll stay as they are.

/**
 * Make `parent` have the children `wanted`. Children with the same `data-key` are the same; others go by their place.
 * An element with `data-keep` is left as it is (somebody else draws in it). Listeners of reused elements stay those of
 * the first time: what is morphed has links and folds, no listeners of its own.
 * @param {Element} parent
 * @param {Node[]} wanted
 */
export function morphChildren(parent, wanted) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  reconcile(parent, wanted);
  // An element that is moved loses its focus.
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

function reconcile(parent, wanted) {
  const keys = new Set(wanted.map(keyOf));
  const keyed = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key === null) continue;
    if (keys.has(key)) keyed.set(key, child);
    else child.remove();
  }
  let at = parent.firstChild;
  for (const want of wanted) {
    const key = keyOf(want);
    const match = key === null ? at : keyed.get(key);
    if (!match || keyOf(match) !== key || match.nodeName !== want.nodeName) {
      parent.insertBefore(want, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else parent.insertBefore(match, at);
    patch(match, want);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
}

function patch(live, fresh) {
  if (live.nodeType !== Node.ELEMENT_NODE) {
    if (live.nodeValue !== fresh.nodeValue) live.nodeValue = fresh.nodeValue;
    return;
  }
  if (live.hasAttribute("data-keep")) return;
  for (const { name } of [...live.attributes]) {
    // Whether a fold is open is for the reader to say.
    if (!fresh.hasAttribute(name) && !(name === "open" && live.nodeName === "DETAILS")) live.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (live.getAttribute(name) === value || (name === "open" && live.nodeName === "DETAILS")) continue;
    if (name === "style") live.style.cssText = value;
    else live.setAttribute(name, value);
  }
  reconcile(live, [...fresh.childNodes]);
}

// Elements by hand. Data becomes text nodes and attributes only, never markup: ids are arbitrary strings.

/** What may stand among the children of `h`; null and false are left out. */
/** @typedef {Node|string|number|null|undefined|false} Child */

/**
 * An element. `attributes`: `on…` adds a listener, `vars` sets CSS custom properties, true is an empty attribute,
 * null, undefined and false leave it out.
 * @param {string} name
 * @param {Object<string, any>} [attributes]
 * @param {...(Child|Child[])} children
 * @returns {HTMLElement}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "vars") for (const [name, text] of Object.entries(value)) element.style.setProperty(name, text);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

/** Append children, as `h` takes them. */
export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  impacted: "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3zM5.5 5.5l5 5M10.5 5.5l-5 5",
  at_risk: "M8 1.8 15 14H1zM8 6v4M8 11.7v.4",
  resolved: "M8 1.3a6.7 6.7 0 1 1 0 13.4A6.7 6.7 0 0 1 8 1.3zM4.9 8.3l2.2 2.2 4-4.6",
  clear: "M8 1.3a6.7 6.7 0 1 1 0 13.4A6.7 6.7 0 0 1 8 1.3z",
  none: "M8 1.3a6.7 6.7 0 1 1 0 13.4A6.7 6.7 0 0 1 8 1.3z",
  out: "M6 3H3v10h10v-3M9.5 2.5h4v4M13.3 2.7 7.5 8.5",
  back: "M9.8 3 4.8 8l5 5",
};

/** A decorative icon; the words beside it say the same. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.none);
  svg.append(path);
  return svg;
}

// What cannot be seen could make two ids look alike, or turn the text around it; joiners are part of words and emoji.
const UNSEEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** An arbitrary id as people can read it: unseen characters escaped, blanks alone in quotes. */
export function shown(id) {
  if (id.trim() === "") return JSON.stringify(id);
  return id.replace(UNSEEN, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

/** An id within other text, whatever its direction of writing. */
export function idText(id) {
  return h("bdi", { class: "id" }, shown(id));
}

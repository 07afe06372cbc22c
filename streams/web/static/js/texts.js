// All words of the page come from one catalogue per language, `texts/<language>.json`: a flat object of keys. A value is
// a text with {placeholders}, or one text per plural form, chosen by the number that `by` names.
import { useLanguage, number } from "./format.js";

const DEFAULT_LANGUAGE = "en";

const loaded = new Map();
let catalogue = {};
let plurals = new Intl.PluralRules(DEFAULT_LANGUAGE);

/**
 * Load the catalogue of the reader's language, on top of the English one so that no text is ever missing.
 * @param {string[]} offered the languages that the server has
 */
export async function loadTexts(offered = [DEFAULT_LANGUAGE]) {
  const language = choose(offered, navigator.languages ?? []);
  const names = language === DEFAULT_LANGUAGE ? [language] : [DEFAULT_LANGUAGE, language];
  const parts = await Promise.all(names.map(load));
  catalogue = Object.assign({}, ...parts);
  plurals = new Intl.PluralRules(language);
  useLanguage(language);
  document.documentElement.lang = language;
}

async function load(language) {
  if (loaded.has(language)) return loaded.get(language);
  const response = await fetch(`static/texts/${encodeURIComponent(language)}.json`);
  if (!response.ok) throw new Error(`no texts for ${language}: ${response.status}`);
  loaded.set(language, await response.json());
  return loaded.get(language);
}

/** The first of the reader's languages that is offered, by itself or without its region. */
export function choose(offered, wanted) {
  for (const tag of wanted) {
    for (const candidate of [tag, tag.split("-")[0]]) if (offered.includes(candidate)) return candidate;
  }
  return DEFAULT_LANGUAGE;
}

/**
 * The text of a key. Numbers among `values` are written as the language writes them; a key that is missing stands for
 * itself, so that a newer server's metric still has a name of sorts.
 * @param {string} key
 * @param {Object<string, string|number>} [values]
 */
export function t(key, values = {}) {
  let text = catalogue[key];
  if (text === undefined) return key;
  if (typeof text === "object") text = text[plurals.select(values[text.by])] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : value;
  });
}

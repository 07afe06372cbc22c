// The form above the list: search, reason, region, seller (operators only), order.
import { SORTS } from "./address.js";
import { h } from "./dom.js";
import { METRICS } from "./status.js";
import { t } from "./texts.js";

const TYPING_MS = 300;
const NARROWING = ["q", "reason", "region", "seller_id"];

export class Filters {
  #fields;
  #clear;
  #timer = null;
  #onChange;

  /** @param {boolean} operator @param {(values: Object<string, string>) => void} onChange */
  constructor(operator, onChange) {
    this.#onChange = onChange;
    const typed = { oninput: () => this.#later(), autocomplete: "off", spellcheck: "false", maxlength: 256 };
    const chosen = { onchange: () => this.#tell() };
    const option = (value, text) => h("option", { value }, text);
    this.#fields = {
      q: h("input", { type: "search", ...typed }),
      reason: h("select", chosen, option("", t("filter.reason.all")), METRICS.map((metric) => option(metric, t(`metric.${metric}.name`)))),
      region: h("input", { type: "text", ...typed }),
      ...(operator ? { seller_id: h("input", { type: "text", ...typed }) } : {}),
      sort: h("select", chosen, SORTS.map((sort) => option(sort, t(`sort.${sort}`)))),
    };
    this.#clear = h("button", { type: "button", class: "button quiet", onclick: () => this.clear() }, t("filter.clear"));
    const field = (name, label) => {
      const control = this.#fields[name];
      if (!control) return null;
      control.id = `filter-${name}`;
      control.name = name;
      return h("div", { class: `field field-${name}` }, h("label", { for: control.id }, label), control);
    };
    this.element = h("form", { class: "filters", role: "search", "aria-label": t("filter.label"), onsubmit: (event) => this.#submit(event) },
      field("q", t("filter.q")), field("reason", t("filter.reason")), field("region", t("filter.region")),
      field("seller_id", t("filter.seller_id")), field("sort", t("filter.sort")), this.#clear);
  }

  /** Show these settings, unless the reader is just typing. */
  show(settings) {
    for (const [name, control] of Object.entries(this.#fields)) {
      if (control.value !== settings[name] && this.#timer === null) control.value = settings[name];
    }
    this.#clear.hidden = !Filters.narrow(settings);
  }

  /** Whether these settings leave products out. */
  static narrow = (settings) => NARROWING.some((name) => settings[name]);

  clear() {
    for (const name of NARROWING) if (this.#fields[name]) this.#fields[name].value = "";
    this.#fields.q.focus();
    this.#tell();
  }

  #submit(event) {
    event.preventDefault();
    this.#tell();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), TYPING_MS);
  }

  #tell() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#onChange(Object.fromEntries(Object.entries(this.#fields).map(([name, control]) => [name, control.value.trim()])));
  }
}

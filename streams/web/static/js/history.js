// The product's transitions in words, newest first; older ones on demand.
import { getJson } from "./api.js";
import { announce } from "./announce.js";
import { h } from "./dom.js";
import { listed, percent, timeElement } from "./format.js";
import { morphChildren } from "./morph.js";
import { badge } from "./status.js";
import { t } from "./texts.js";

export class History {
  #productId;
  #onSignedOut;
  #transitions = new Map(); // by sequence
  #cursor = null;
  #list = h("ol", { class: "history", "data-history": true });
  #more = h("button", { type: "button", class: "button", hidden: true, onclick: () => this.#older() }, t("history.more"));
  #abort = new AbortController();

  constructor(productId, onSignedOut) {
    this.#productId = productId;
    this.#onSignedOut = onSignedOut;
    this.element = h("div", {}, this.#list, this.#more);
  }

  /** Take the newest transitions of a product just loaded; the older ones that are there stay. */
  show({ transitions, transitions_cursor: cursor }) {
    const newest = Math.max(0, ...this.#transitions.keys());
    const least = Math.min(...transitions.map((one) => one.sequence));
    // With a gap between the two the older ones would pretend that nothing happened in it.
    if (newest === 0 || least > newest + 1) {
      this.#transitions = new Map();
      this.#cursor = cursor;
    }
    this.#take(transitions);
  }

  close() {
    this.#abort.abort();
  }

  #take(transitions) {
    for (const one of transitions) this.#transitions.set(one.sequence, one);
    const ordered = [...this.#transitions.values()].sort((a, b) => b.sequence - a.sequence);
    morphChildren(this.#list, ordered.length > 0 ? ordered.map(entry) : [h("li", { class: "sub" }, t("history.none"))]);
    this.#more.hidden = this.#cursor === null;
  }

  async #older() {
    const before = this.#transitions.size;
    this.#more.disabled = true;
    try {
      const query = { product_id: this.#productId, cursor: this.#cursor };
      const page = await getJson("transitions", query, { signal: this.#abort.signal });
      this.#cursor = page.next_cursor;
      this.#take(page.items);
      announce(t("history.loaded", { n: this.#transitions.size - before }));
    } catch (error) {
      if (error.kind === "signed-out") this.#onSignedOut(error);
      else if (error.name !== "AbortError") announce(t("history.failed"));
    } finally {
      this.#more.disabled = false;
    }
  }
}

function entry(one) {
  const status = one.current_status;
  const moved = one.change === "status_changed";
  const what = moved
    ? t("history.moved", { from: t(`status.${one.previous_status}`), to: t(`status.${status}`) })
    : t("history.reasons", { status: t(`status.${status}`) });
  return h("li", { "data-sequence": one.sequence, "data-key": one.sequence, "data-tone": status },
    h("p", { class: "when" }, timeElement(one.effective_at)),
    h("p", {}, badge(status), " ", h("strong", {}, what)),
    h("p", {}, t(`cause.${one.cause}`)),
    one.reasons.length > 0 && h("ul", {}, one.reasons.map((reason) => h("li", {}, reasonText(reason)))),
    gone(one));
}

function reasonText(reason) {
  const name = t(`metric.${reason.metric}.name`);
  const numbers = t(`metric.${reason.metric}.numbers`, { k: reason.numerator, n: reason.denominator });
  return t("history.reason", { name, level: t(`status.${reason.level}`), numbers, rate: percent(reason.rate) });
}

/** The metrics that were a reason before and are none now. */
function gone(one) {
  const still = new Set(one.reasons.map((reason) => reason.metric));
  const names = one.previous_reasons.filter((reason) => !still.has(reason.metric)).map((reason) => t(`metric.${reason.metric}.name`));
  return names.length > 0 && h("p", { class: "sub" }, t("history.gone", { names: listed(names) }));
}

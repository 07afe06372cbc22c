// One product: what it must improve, how it comes back, whether its visibility does, and what happened so far.
import { getJson } from "./api.js";
import { announce } from "./announce.js";
import { h, idText, shown } from "./dom.js";
import { History } from "./history.js";
import { Impressions } from "./impressions.js";
import { metricCard } from "./metric.js";
import { morphChildren } from "./morph.js";
import { Resource } from "./resource.js";
import { errorBox, loadingBox, staleNote } from "./states.js";
import { overview } from "./overview.js";
import { t } from "./texts.js";

export class DetailsView {
  #id;
  #app;
  #product;
  #status = null;
  #parts;
  #impressions = new Impressions();
  #history;

  constructor({ productId }, app) {
    this.#id = productId;
    this.#app = app;
    this.#history = new History(productId, app.onSignedOut);
    this.#parts = {
      heading: h("h1", { tabindex: "-1" }, idText(productId)),
      overview: h("div", { class: "overview" }),
      state: h("div", {}),
      metrics: h("div", { class: "metrics" }),
    };
    const { heading, overview: top, state, metrics } = this.#parts;
    this.#parts.body = h("div", { class: "details-body", hidden: true },
      section("metrics", t("details.metrics"), metrics), section("visibility", t("details.visibility"), this.#impressions.element),
      section("history", t("details.history"), this.#history.element));
    this.element = h("div", { "data-view": "details", class: "details" }, heading, state, top, this.#parts.body);
    app.setTitle(shown(productId));
    this.#product = new Resource((signal) => getJson("product", { product_id: productId }, { signal }), (now) => this.#show(now));
    this.#product.restart();
  }

  takes = (wanted) => wanted.view === "details" && wanted.productId === this.#id;

  arrive() {
    window.scrollTo(0, 0);
    this.#parts.heading.focus();
  }

  refresh() {
    this.#product.refresh();
  }

  onChange(change) {
    if (change.product_id === this.#id) this.#product.refresh();
  }

  close() {
    this.#product.close();
    this.#impressions.close();
    this.#history.close();
  }

  #show({ data, error, busy }) {
    if (error?.kind === "signed-out") return this.#app.onSignedOut(error);
    this.element.setAttribute("aria-busy", String(busy));
    // What is gone or forbidden now must not stay on the screen.
    const gone = error !== null && ["not-found", "forbidden"].includes(error.kind);
    this.#parts.body.hidden = this.#parts.overview.hidden = data === null || gone;
    if (data === null || gone) {
      morphChildren(this.#parts.state, [error ? errorBox(error, () => this.#product.restart()) : loadingBox()]);
      return undefined;
    }
    morphChildren(this.#parts.state, error ? [staleNote(error)] : []);
    morphChildren(this.#parts.overview, overview(data, this.#app.session.viewer.operator));
    morphChildren(this.#parts.metrics, inOrder(data.metrics).map((metric) => metricCard(metric, this.#id)));
    this.#impressions.show(data);
    this.#history.show(data);
    this.#tell(data.current_status);
    return undefined;
  }

  #tell(status) {
    if (this.#status !== null && this.#status !== status) {
      announce(t("details.moved", { from: t(`status.${this.#status}`), to: t(`status.${status}`) }));
    }
    this.#status = status;
  }
}

function section(name, title, ...children) {
  const id = `section-${name}`;
  return h("section", { "aria-labelledby": id, class: `section section-${name}` }, h("h2", { id }, title), ...children);
}

const RANK = { impacted: 0, at_risk: 1, none: 2 };

/** Those that the product is judged by: what needs improvement first, the primary reason before the others; ties stay in the contract's order. */
function inOrder(metrics) {
  return metrics.filter((metric) => metric.enabled).sort((a, b) => RANK[a.level] - RANK[b.level] || Number(b.primary) - Number(a.primary));
}

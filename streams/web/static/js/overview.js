// The head of a product's details: its status, in a sentence, and the way back that it is on.
import { h, icon, idText } from "./dom.js";
import { percent, time, timeElement } from "./format.js";
import { outLink } from "./links.js";
import { badge, TABS } from "./status.js";
import { t } from "./texts.js";

/** @returns {Node[]} */
export function overview(product, operator) {
  const status = product.current_status;
  const worst = product.metrics.find((metric) => metric.primary);
  return [
    h("p", { class: "facts", "data-key": "facts" },
      badge(status, { "data-status": status }), " ", fact(t("fact.since"), timeElement(product.effective_at)),
      operator && product.seller_id !== null && fact(t("fact.seller"), idText(product.seller_id)),
      product.region && fact(t("fact.region"), idText(product.region)),
      product.category && fact(t("fact.category"), idText(product.category)),
      product.relapse_count > 0 && h("span", { class: "fact" }, t("relapses", { n: product.relapse_count }))),
    status !== "clear" && journey(status),
    h("p", { class: "summary", "data-key": "summary" }, t(`summary.${status}`)),
    worst && improve(worst),
    h("p", { class: "sub", "data-key": "asof" },
      product.policy_version === null ? t("fact.no-policy") : t("fact.policy", { policy: product.policy_version }),
      " · ", t("fact.updated", { time: time(product.updated_at) })),
  ].filter(Boolean);
}

function fact(label, ...value) {
  return h("span", { class: "fact" }, h("span", { class: "label" }, label), " ", ...value);
}

/** Impacted, at risk, resolved: where on this way the product is. */
function journey(status) {
  const at = TABS.indexOf(status);
  return h("ol", { class: "journey", "aria-label": t("journey.label"), "data-key": "journey" }, TABS.map((step, index) =>
    h("li", { "data-tone": step, class: index === at ? "here" : null, "aria-current": index === at ? "step" : null },
      icon(step), h("span", {}, t(`status.${step}`)))));
}

/** The one metric that matters most, and the page where it is mended. */
function improve(metric) {
  const name = t(`metric.${metric.metric}.name`);
  return h("div", { class: "improve", "data-tone": metric.level, "data-key": "improve" },
    h("div", {},
      h("p", { class: "label" }, t("improve.label")),
      h("p", { class: "improve-name" }, name, h("span", { class: "improve-rate" }, ` ${percent(metric.rate)}`)),
      h("p", {}, t(`metric.${metric.metric}.todo`))),
    outLink(metric.review_url, t(`metric.${metric.metric}.review`), t("link.new-tab"), { class: "button primary", "data-improve": true }));
}

// A rate as a bar against its at-risk and impacted lines.
import { h } from "./dom.js";
import { percent } from "./format.js";
import { t } from "./texts.js";

// The bar ends a bit beyond the greatest of what it shows.
const HEADROOM = 1.2;
// A line beyond the middle has its label on its left, so that no label leaves the bar.
const MIDDLE = 0.5;

export function bar(metric) {
  const { rate, at_risk_threshold: atRisk, impacted_threshold: impacted } = metric;
  const target = metric.recovery?.below_rate ?? null;
  const end = Math.min(1, HEADROOM * Math.max(rate, atRisk, impacted));
  const at = (value) => ({ "--at": `${(Math.min(1, value / end) * 100).toFixed(2)}%` });
  const side = (value) => (value / end > MIDDLE ? "before" : "after");
  const label = (place, value, text) => h("span", { class: `bar-label ${place} ${side(value)}`, vars: at(value) }, text);
  const atRiskText = t("bar.at_risk", { rate: percent(atRisk) });
  const impactedText = t("bar.impacted", { rate: percent(impacted) });
  const parts = [percent(rate), atRiskText, impactedText, target !== null && t("bar.target", { rate: percent(target) })];
  return h("div", { class: "bar-chart", "data-bar": true, role: "img", "aria-label": parts.filter(Boolean).join("; "), "data-tone": metric.level },
    label("above", atRisk, atRiskText),
    h("div", { class: "track" },
      h("span", { class: "zone", "data-tone": "at_risk", vars: at(atRisk) }),
      h("span", { class: "zone", "data-tone": "impacted", vars: at(impacted) }),
      h("span", { class: "fill", vars: at(rate) }),
      h("span", { class: "line", vars: at(atRisk) }),
      h("span", { class: "line", vars: at(impacted) }),
      target !== null && h("span", { class: "line dashed", vars: at(target) })),
    label("below", impacted, impactedText));
}

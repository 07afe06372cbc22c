// One metric as a card: its rate against its lines, what it takes to recover, the orders behind it.
import { bar } from "./bar.js";
import { h, idText } from "./dom.js";
import { duration, percent, timeElement } from "./format.js";
import { outLink } from "./links.js";
import { recovery } from "./recovery.js";
import { levelBadge } from "./status.js";
import { t } from "./texts.js";

export function metricCard(metric, productId) {
  const id = `metric-${metric.metric}`;
  const flagged = metric.level !== "none";
  const measured = metric.at_risk_threshold !== null;
  return h("article",
    { class: "card", "data-metric": metric.metric, "data-level": metric.level, "data-key": metric.metric, "aria-labelledby": id },
    h("div", { class: "card-head" }, h("h3", { id }, t(`metric.${metric.metric}.name`)), levelBadge(metric.level),
      metric.primary && h("span", { class: "tag" }, t("metric.primary"))),
    h("div", { class: "card-body" },
      h("div", { class: "card-main" },
        h("p", { class: "numbers" },
          h("span", { class: "big", "data-rate": true }, metric.denominator > 0 ? percent(metric.rate) : "–"), " ",
          h("span", { class: metric.recovery ? "target next" : "target", "data-target": true }, target(metric, measured))),
        measured && bar(metric),
        h("p", {}, counted(metric)),
        flagged && metric.since !== null && h("p", { class: "sub" }, t("metric.since"), " ", timeElement(metric.since)),
        h("p", { class: "sub" }, t(`metric.${metric.metric}.meaning`))),
      flagged && metric.recovery && recovery(metric)),
    actions(metric, flagged),
    evidence(metric, productId));
}

/** What was counted, and over which time, where the policy in force says so. */
function counted({ metric, numerator: k, denominator: n, window_ms: windowMs }) {
  if (n === 0) return windowMs === null ? t("metric.empty-ever") : t("metric.empty", { window: duration(windowMs) });
  const numbers = t(`metric.${metric}.numbers`, { k, n });
  return windowMs === null ? numbers : `${numbers} ${t("metric.window", { window: duration(windowMs) })}`;
}

function target(metric, measured) {
  if (!measured) return t("target.none");
  if (metric.recovery) return t("target.next", { rate: percent(metric.recovery.below_rate) });
  return t("target.keep", { rate: percent(metric.at_risk_threshold) });
}

function actions(metric, flagged) {
  const about = `${t(`metric.${metric.metric}.name`)}, ${t("link.new-tab")}`;
  const links = [
    outLink(metric.review_url, t(`metric.${metric.metric}.review`), t("link.new-tab"),
      { class: flagged ? "button primary" : "button", "data-review": true }),
    outLink(metric.documentation_url, t("metric.documentation"), about, { "data-documentation": true }),
  ].filter(Boolean);
  return links.length > 0 && h("p", { class: "actions" }, links);
}

/** The orders that count in the numerator; open for the metric that matters most. */
function evidence(metric, productId) {
  const { evidence: lines, evidence_total: total } = metric;
  if (lines.length === 0) return null;
  const rows = lines.map((line) => h("tr", { "data-key": `${line.order_id}\n${line.line_id ?? ""}\n${line.at}` },
    h("th", { scope: "row" }, idText(line.order_id)), h("td", {}, line.line_id === null ? "–" : idText(line.line_id)),
    h("td", {}, timeElement(line.at))));
  return h("details", { "data-evidence": true, open: metric.primary, "data-key": `evidence ${productId}` },
    h("summary", {}, t("evidence.title", { n: total })),
    total > lines.length && h("p", { class: "sub" }, t("evidence.cut", { shown: lines.length, n: total })),
    h("table", { class: "plain" },
      h("caption", { class: "unseen" }, t("evidence.title", { n: total })),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("evidence.order")), h("th", { scope: "col" }, t("evidence.line")),
        h("th", { scope: "col" }, t(`metric.${metric.metric}.at`)))),
      h("tbody", {}, rows)));
}

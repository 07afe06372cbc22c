// What it takes for a metric to reach its next, better level, in words.
import { h } from "./dom.js";
import { duration, percent, time } from "./format.js";
import { t } from "./texts.js";

export function recovery(metric) {
  const { recovery: way, metric: name } = metric;
  const values = { rate: percent(way.below_rate), dwell: duration(way.dwell_ms ?? 0) };
  const goal = way.next_level === "none" ? "none" : "at_risk";
  const lead = way.is_below ? t(`recovery.below.${goal}`, values) : t(`recovery.above.${goal}`, values);
  const ways = way.is_below ? [] : [
    way.settle_orders !== null && way.settle_orders > 0 && t("recovery.settle", { n: way.settle_orders }),
    way.good_orders !== null && way.good_orders > 0 && t(`metric.${name}.good`, { n: way.good_orders }),
    way.at_latest !== null && t("recovery.wait", { time: time(way.at_latest) }),
  ].filter(Boolean);
  return h("div", { class: "recovery", "data-recovery": true },
    h("h4", {}, t("recovery.title")), h("p", {}, lead),
    ways.length > 0 && h("p", { class: "sub" }, ways.length > 1 ? t("recovery.any") : t("recovery.only")),
    ways.length > 0 && h("ul", {}, ways.map((text) => h("li", {}, text))),
    // That of the main reason stands at the top of the page.
    !metric.primary && h("p", {}, t(`metric.${name}.todo`)));
}

// A status or level as a badge: an icon, a colour and a word.
import { h, icon } from "./dom.js";
import { t } from "./texts.js";

/** The domain's names, in the order people look at them. */
export const TABS = ["impacted", "at_risk", "resolved"];
export const METRICS = [
  "out_of_stock_cancellation_rate",
  "seller_fault_cancellation_rate",
  "unshipped_overdue_rate",
  "late_dispatch_rate",
  "high_shipping_fee_rate",
];

export function badge(status, attributes = {}) {
  return h("span", { class: "badge", "data-tone": status, ...attributes }, icon(status), t(`status.${status}`));
}

/** A metric's level; `none` is said as "on target". */
export function levelBadge(level) {
  return h("span", { class: "badge", "data-tone": level }, icon(level), level === "none" ? t("level.none") : t(`status.${level}`));
}

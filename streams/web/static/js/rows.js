// The table of flagged products. On a phone each row is a card; the roles keep it a table for screen readers.
import { h, idText, shown } from "./dom.js";
import { percent, timeElement } from "./format.js";
import { outLink, productHash } from "./links.js";
import { badge } from "./status.js";
import { t } from "./texts.js";

/**
 * @param {Object[]} items summaries as the API has them
 * @param {{operator: boolean, caption: string, known: Map<string, number>}} options `known`: the sequence that each
 *   product had when last drawn, so that one that moved stands out
 */
export function productTable(items, { operator, caption, known }) {
  const columns = [
    t("column.product"), operator && t("column.seller"), t("column.status"), t("column.reason"), t("column.since"), t("column.review"),
  ].filter(Boolean);
  return h("table", { class: "products", role: "table", "data-key": "products" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((name) => h("th", { scope: "col", role: "columnheader" }, name)))),
    h("tbody", { role: "rowgroup" }, items.map((item) => row(item, operator, known))));
}

function row(item, operator, known) {
  const moved = known.has(item.product_id) && known.get(item.product_id) !== item.sequence;
  const cell = (name, label, ...children) => h("td", { role: "cell", "data-cell": name, "data-label": label }, ...children);
  return h("tr", { role: "row", "data-key": item.product_id, "data-product": item.product_id, class: moved ? "moved" : null },
    h("th", { scope: "row", role: "rowheader", "data-cell": "product" },
      h("a", { class: "open", href: productHash(item.product_id) }, idText(item.product_id)), placeLine(item)),
    operator && cell("seller", t("column.seller"), item.seller_id === null ? "–" : idText(item.seller_id)),
    cell("status", t("column.status"), badge(item.current_status),
      item.relapse_count > 0 && h("span", { class: "sub" }, t("relapses", { n: item.relapse_count }))),
    cell("reason", t("column.reason"), reasonText(item.reasons)),
    cell("since", t("column.since"), timeElement(item.effective_at)),
    cell("review", t("column.review"), reviewLink(item)));
}

/** Region and category, where they are known. */
function placeLine({ region, category }) {
  const parts = [region, category].filter(Boolean);
  return parts.length > 0 && h("span", { class: "sub" }, parts.map((part, at) => [at > 0 && " · ", idText(part)]));
}

function reasonText(reasons) {
  const first = reasons.find((reason) => reason.primary) ?? reasons[0];
  if (!first) return h("span", { class: "sub" }, t("reason.none"));
  const name = t(`metric.${first.metric}.name`);
  return [
    h("strong", {}, name),
    h("span", { class: "rate" }, ` ${percent(first.rate)} `),
    h("span", { class: "sub" }, t(`metric.${first.metric}.numbers`, { k: first.numerator, n: first.denominator })),
    reasons.length > 1 && h("span", { class: "sub" }, t("reason.more", { n: reasons.length - 1 })),
  ];
}

function reviewLink(item) {
  const first = item.reasons.find((reason) => reason.review_url);
  if (!first) return h("span", { class: "sub" }, "–");
  const about = t("review.about", { product: shown(item.product_id) });
  return outLink(first.review_url, t(`metric.${first.metric}.review`), `${about} ${t("link.new-tab")}`, { class: "button small", "data-review": true })
    ?? h("span", { class: "sub" }, "–");
}

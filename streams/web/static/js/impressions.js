// Impressions per day with the product's status: a graph, a legend in words, and the same as a table.
import { clearChart, drawChart } from "./chart.js";
import { h } from "./dom.js";
import { DAY_MS, day, number, timeElement } from "./format.js";
import { morphChildren } from "./morph.js";
import { badge } from "./status.js";
import { t } from "./texts.js";

export class Impressions {
  #graph = h("div", { class: "graph", "data-graph": true, role: "img" });
  #failed = h("p", { class: "note", hidden: true }, t("graph.failed"));
  #lead = h("p", { class: "lead" });
  #legend = h("ol", { class: "legend" });
  #table = h("div", {});
  #drawn = "";
  #latest = null;
  #schemes = window.matchMedia("(prefers-color-scheme: dark)");

  constructor() {
    const fold = h("details", {}, h("summary", {}, t("graph.table")), this.#table);
    this.element = h("div", {}, this.#lead, this.#graph, this.#failed, h("h3", { class: "unseen" }, t("graph.legend")), this.#legend, fold);
    this.#schemes.addEventListener("change", this.#redraw);
  }

  show(product) {
    const days = product.impressions;
    const periods = withinDays(product.status_periods, days);
    const averages = periods.map((period) => average(period, days, product.updated_at));
    this.#lead.textContent = days.length > 0 ? comparison(periods, averages) : t("graph.none");
    this.#graph.hidden = days.length === 0;
    this.#graph.setAttribute("aria-label", t("graph.label"));
    morphChildren(this.#legend, periods.map((period, at) => legendEntry(period, averages[at])));
    morphChildren(this.#table, [table(days, periods)]);
    this.#latest = { days, periods };
    if (days.length > 0) this.#draw();
  }

  close() {
    this.#latest = null;
    this.#schemes.removeEventListener("change", this.#redraw);
    clearChart(this.#graph);
  }

  #redraw = () => {
    this.#drawn = "";
    if (this.#latest?.days.length > 0) this.#draw();
  };

  async #draw() {
    const wanted = JSON.stringify(this.#latest);
    if (wanted === this.#drawn) return;
    this.#drawn = wanted;
    try {
      // Only what is still wanted and still on the page is drawn.
      await drawChart(this.#graph, this.#latest.days, this.#latest.periods, () => this.#latest !== null && this.#drawn === wanted);
      this.#failed.hidden = true;
    } catch (error) {
      console.error(error);
      this.#failed.hidden = false; // the legend and the table say the same
      this.#drawn = "";
    }
  }
}

const startOf = (date) => Date.parse(`${date}T00:00:00Z`);

/** The periods cut to the days of the graph, in ms; `until` is null while a period lasts. */
function withinDays(periods, days) {
  if (days.length === 0) return [];
  const from = startOf(days[0].date);
  const to = startOf(days.at(-1).date) + DAY_MS;
  return periods
    .map((period) => ({ ...period, fromMs: Math.max(from, Date.parse(period.from)), toMs: period.to === null ? to : Math.min(to, Date.parse(period.to)) }))
    .filter((period) => period.fromMs < period.toMs);
}

/** Impressions per day over the whole days of a period; null if it has none. The present day is not over yet. */
function average(period, days, updatedAt) {
  const whole = days.filter(({ date }) => startOf(date) >= period.fromMs && startOf(date) + DAY_MS <= period.toMs && date < updatedAt.slice(0, 10));
  return whole.length === 0 ? null : Math.round(whole.reduce((sum, { count }) => sum + count, 0) / whole.length);
}

/** Whether visibility came back, in one sentence, as far as the days can tell. */
function comparison(periods, averages) {
  const last = (status) => periods.findLastIndex((period, at) => status.includes(period.status) && averages[at] !== null);
  const back = last(["resolved", "clear"]);
  let flagged = last(["impacted", "at_risk"]);
  // Once it is back, what counts is how far down it was.
  if (back > flagged && last(["impacted"]) >= 0) flagged = last(["impacted"]);
  if (flagged < 0 || back < 0) return t("graph.lead");
  const values = { before: averages[back], during: averages[flagged], status: t(`status.${periods[flagged].status}`) };
  return back > flagged ? t("graph.back", values) : t("graph.fell", values);
}

function legendEntry(period, perDay) {
  return h("li", {}, badge(period.status), " ", timeElement(period.from), " – ", period.to === null ? t("graph.now") : timeElement(period.to),
    perDay !== null && h("span", { class: "sub" }, t("graph.average", { n: perDay })));
}

function table(days, periods) {
  const statuses = (date) => periods
    .filter((period) => period.fromMs < startOf(date) + DAY_MS && period.toMs > startOf(date))
    .map((period) => t(`status.${period.status}`)).join(" → ");
  return h("table", { class: "plain", "data-impressions": true },
    h("caption", { class: "unseen" }, t("graph.label")),
    h("thead", {}, h("tr", {}, [t("graph.day"), t("graph.impressions"), t("column.status")].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, days.map(({ date, count }) => h("tr", { "data-key": date },
      h("th", { scope: "row" }, h("time", { datetime: date }, day(date))), h("td", {}, number(count)), h("td", {}, statuses(date))))));
}

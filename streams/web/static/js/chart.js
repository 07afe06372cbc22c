// The graph itself, by Plotly, which is large and so loaded with the first graph only.
import { DAY_MS, day, number, separators, shortDay } from "./format.js";
import { t } from "./texts.js";

const SCRIPT = "static/vendor/plotly.min.js";
const BAR_SHARE = 0.64;
const TICKS = 5;
// Above the highest bar the bands are seen in full.
const HEADROOM = 1.15;
// A band narrower than this share of the graph has no room for its name; the legend has it.
const NAMED_SHARE = 0.12;

let loading = null;

function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = SCRIPT;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      script.remove();
      loading = null; // the next graph tries again
      reject(new Error("the graph could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

/**
 * Draw impressions per day in `element`, with a coloured band per status period, and say so in its attributes.
 * @param {{date: string, count: number}[]} days without gaps, oldest first
 * @param {{status: string, fromMs: number, toMs: number}[]} periods within the days
 * @param {() => boolean} wanted whether it still is, once Plotly is there
 */
export async function drawChart(element, days, periods, wanted) {
  const library = await plotly();
  if (!wanted()) return;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  await library.react(element, [bars(days, colour)], layout(days, periods, colour), { displayModeBar: false, responsive: true, showTips: false });
  element.dataset.bands = periods.map((period) => period.status).join(",");
  element.dataset.ready = "true";
}

/** Let go of what Plotly holds for `element`, such as its watch on the window's size. */
export function clearChart(element) {
  window.Plotly?.purge(element);
}

function bars(days, colour) {
  return {
    type: "bar",
    // A bar stands in the middle of its UTC day.
    x: days.map(({ date }) => `${date} 12:00`),
    y: days.map(({ count }) => count),
    width: days.map(() => BAR_SHARE * DAY_MS),
    marker: { color: colour("accent"), line: { width: 0 } },
    hovertext: days.map(({ date, count }) => t("graph.hover", { day: day(date), n: count })),
    hoverinfo: "text",
    textposition: "none",
  };
}

function layout(days, periods, colour) {
  const start = Date.parse(days[0].date);
  const end = Date.parse(days.at(-1).date) + DAY_MS;
  const every = Math.ceil(days.length / TICKS);
  const ticked = days.filter((_, index) => index % every === 0);
  const text = { family: "inherit", size: 12, color: colour("muted") };
  return {
    height: 280,
    margin: { l: 8, r: 8, t: 28, b: 32 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: text,
    separators: separators(),
    showlegend: false,
    dragmode: false,
    xaxis: {
      type: "date", range: [stamp(start), stamp(end)], fixedrange: true, showgrid: false, zeroline: false,
      tickvals: ticked.map(({ date }) => `${date} 12:00`), ticktext: ticked.map(({ date }) => shortDay(date)),
    },
    yaxis: {
      fixedrange: true, gridcolor: colour("line"), zeroline: false, automargin: true,
      ...yTicks(days),
    },
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("line"), font: { color: colour("text") } },
    shapes: periods.map((period) => band(period, colour)),
    annotations: periods.filter(({ fromMs, toMs }) => (toMs - fromMs) / (end - start) >= NAMED_SHARE).map((period) => name(period, colour)),
  };
}

/** Round steps from zero, written as the language writes numbers. */
function yTicks(days) {
  const most = Math.max(1, ...days.map(({ count }) => count));
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough));
  const tickvals = Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
  return { range: [0, HEADROOM * most], tickvals, ticktext: tickvals.map((value) => number(value)) };
}

/** A time as Plotly's date axis takes it: UTC, without a zone. */
const stamp = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

function band({ status, fromMs, toMs }, colour) {
  return {
    type: "rect", xref: "x", yref: "paper", layer: "below", x0: stamp(fromMs), x1: stamp(toMs), y0: 0, y1: 1,
    fillcolor: colour(`${status}-bg`), line: { width: 0 },
  };
}

function name({ status, fromMs, toMs }, colour) {
  return {
    xref: "x", yref: "paper", x: stamp((fromMs + toMs) / 2), y: 1, yanchor: "bottom", showarrow: false,
    text: t(`status.${status}`), font: { size: 12, color: colour(`${status}-fg`) },
  };
}

// Numbers, rates, times and durations as the language writes them. Times are UTC, and say so.
import { h } from "./dom.js";

const UTC = { timeZone: "UTC" };
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

let language = "en";
let formats = makeFormats();

/** Use another language from now on. */
export function useLanguage(tag) {
  language = tag;
  formats = makeFormats();
}

function makeFormats() {
  return {
    number: new Intl.NumberFormat(language),
    percent: new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 2 }),
    time: new Intl.DateTimeFormat(language, {
      ...UTC, year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
      timeZoneName: "short",
    }),
    day: new Intl.DateTimeFormat(language, { ...UTC, year: "numeric", month: "short", day: "numeric" }),
    shortDay: new Intl.DateTimeFormat(language, { ...UTC, month: "short", day: "numeric" }),
    list: new Intl.ListFormat(language),
  };
}

export const number = (value) => formats.number.format(value);

/** A fraction of 1 in percent. */
export const percent = (fraction) => formats.percent.format(fraction);

/** An RFC 3339 time, to the minute, with its zone. */
export const time = (text) => formats.time.format(new Date(text));

/** A UTC day, `2026-01-05` or a time on it. */
export const day = (text) => formats.day.format(new Date(text));
export const shortDay = (text) => formats.shortDay.format(new Date(text));

export const listed = (parts) => formats.list.format(parts);

/** A time as an element that machines can read too. */
export const timeElement = (text) => h("time", { datetime: text }, time(text));

/** The decimal point and the thousands separator, as Plotly takes them. */
export function separators() {
  const parts = formats.number.formatToParts(12345.6);
  const find = (type, otherwise) => parts.find((part) => part.type === type)?.value ?? otherwise;
  return find("decimal", ".") + find("group", "");
}

/** A duration in ms in the largest unit that tells it whole: "3 days", "36 hours", "90 minutes". */
export function duration(ms) {
  const [unit, unitMs] = ms % DAY_MS === 0 ? ["day", DAY_MS] : ms % HOUR_MS === 0 ? ["hour", HOUR_MS] : ["minute", MINUTE_MS];
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1 });
  return format.format(ms / unitMs);
}

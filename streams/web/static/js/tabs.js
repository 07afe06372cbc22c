// The tabs of the list: one stop for the Tab key, arrows to move within (the ARIA tabs pattern).
import { h, icon } from "./dom.js";
import { number } from "./format.js";
import { TABS } from "./status.js";
import { t } from "./texts.js";

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

export class Tabs {
  #tabs;
  #onChoose;

  /** @param {string} panelId @param {(status: string) => void} onChoose */
  constructor(panelId, onChoose) {
    this.#onChoose = onChoose;
    this.#tabs = new Map(TABS.map((status) => [status, this.#tab(status, panelId)]));
    this.element = h("div", { class: "tabs", role: "tablist", "aria-label": t("tabs.label"), onkeydown: (event) => this.#key(event) },
      [...this.#tabs.values()]);
  }

  static idOf = (status) => `tab-${status}`;

  choose(status) {
    for (const [name, tab] of this.#tabs) {
      tab.setAttribute("aria-selected", String(name === status));
      tab.tabIndex = name === status ? 0 : -1;
    }
  }

  /** @param {Object<string, number>|null} counts */
  count(counts) {
    for (const [name, tab] of this.#tabs) {
      const text = counts === null ? "" : number(counts[name] ?? 0);
      const place = tab.querySelector("[data-count]");
      if (place.textContent !== text) place.textContent = text;
    }
  }

  #tab(status, panelId) {
    return h("button",
      { type: "button", role: "tab", id: Tabs.idOf(status), "data-tab": status, "aria-controls": panelId, onclick: () => this.#onChoose(status) },
      icon(status), h("span", {}, t(`status.${status}`)), " ", h("span", { class: "count", "data-count": true }));
  }

  #key(event) {
    const at = TABS.indexOf(event.target.closest("[data-tab]")?.dataset.tab);
    const rightToLeft = getComputedStyle(this.element).direction === "rtl";
    const step = (STEPS[event.key] ?? 0) * (rightToLeft ? -1 : 1);
    const to = event.key === "Home" ? 0 : event.key === "End" ? TABS.length - 1 : at + step;
    if (at < 0 || (to === at && step === 0 && !["Home", "End"].includes(event.key))) return;
    event.preventDefault();
    const status = TABS[(to + TABS.length) % TABS.length];
    this.#tabs.get(status).focus();
    this.#onChoose(status);
  }
}

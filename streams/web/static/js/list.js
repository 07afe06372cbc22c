// The list of flagged products: tabs with counts, filters, rows, more rows, export; all kept up to date.
import { getJson } from "./api.js";
import { hashOf, remember, replaceAddress, settingsOf } from "./address.js";
import { announce } from "./announce.js";
import { h, idText, shown } from "./dom.js";
import { exportButton } from "./export.js";
import { Filters } from "./filters.js";
import { productHash } from "./links.js";
import { morphChildren } from "./morph.js";
import { Resource } from "./resource.js";
import { route } from "./router.js";
import { productTable } from "./rows.js";
import { emptyBox, errorBox, loadingBox, staleNote } from "./states.js";
import { TABS } from "./status.js";
import { Tabs } from "./tabs.js";
import { t } from "./texts.js";

const PAGE = 50;
const PANEL = "products";
// On a busy marketplace moves come faster than anyone reads: the latest is shown so often at most.
const NEWS_MS = 1_000;

// What the list looked like when it was left, for whoever comes back from a product.
let left = null;

export class ListView {
  #app;
  #settings;
  #wanted = PAGE;
  #known = new Map();
  #counts;
  #products;
  #parts = {};
  #latest = [];
  #newsTimer = null;

  constructor({ params }, app) {
    this.#app = app;
    const operator = app.session.viewer.operator;
    this.#parts = {
      heading: h("h1", { tabindex: "-1" }, t("list.title")),
      filters: new Filters(operator, (values) => this.#filter(values)),
      tabs: new Tabs(PANEL, (status) => this.#choose(status)),
      news: h("p", { class: "news" }),
      panel: h("div", { id: PANEL, role: "tabpanel", tabindex: "0" }),
      more: h("button", { type: "button", class: "button", "data-more": true, onclick: () => this.#more() }, t("list.more")),
      shown: h("p", { class: "sub" }),
    };
    const { heading, filters, tabs, news, panel, more, shown: shownLine } = this.#parts;
    this.element = h("div", { "data-view": "list", class: "list" },
      h("div", { class: "head" }, h("div", {}, heading, h("p", { class: "lead" }, t("list.lead"))), exportButton(() => this.#query())),
      filters.element,
      h("div", { class: "tabline" }, tabs.element, news),
      panel,
      h("div", { class: "foot" }, shownLine, more));
    this.#counts = new Resource((signal) => this.#loadCounts(signal), (state) => this.#showCounts(state));
    this.#products = new Resource((signal) => this.#loadProducts(signal), (state) => this.#showProducts(state));
    this.#apply(settingsOf(params));
  }

  /** Whether the address is one of the list's own; then it is shown. */
  takes(wanted) {
    if (wanted.view !== "list") return false;
    const settings = settingsOf(wanted.params);
    if (hashOf(settings) !== hashOf(this.#settings)) {
      left = null; // from here on only what is loaded anew is shown
      this.#apply(settings);
    }
    return true;
  }

  /** Somebody came here from a product: back to its row, or to the heading. */
  arrive() {
    const row = [...this.element.querySelectorAll("[data-product]")].find((one) => one.dataset.product === left?.productId);
    if (!row) return this.#parts.heading.focus();
    window.scrollTo(0, left.scrollY);
    return row.querySelector("a").focus({ preventScroll: true });
  }

  refresh() {
    this.#counts.refresh();
    this.#products.refresh();
  }

  onChange(change) {
    if (this.#settings.seller_id && change.seller_id !== this.#settings.seller_id) return;
    if (change.kind === "transition") {
      this.refresh();
      this.#tell(change);
    } else if (this.#known.has(change.product_id)) {
      this.#products.refresh();
    }
  }

  close() {
    // The address is that of the view that follows.
    const productId = route().productId;
    const [data, counts] = [this.#products.data, this.#counts.data];
    left = { hash: hashOf(this.#settings), data, counts, wanted: this.#wanted, scrollY: window.scrollY, productId };
    this.#counts.close();
    this.#products.close();
  }

  #apply(settings) {
    this.#settings = settings;
    this.#wanted = PAGE;
    this.#known = new Map();
    remember(settings);
    this.#app.setTitle(null);
    this.#parts.filters.show(settings);
    this.#parts.tabs.choose(settings.status);
    this.#parts.panel.setAttribute("aria-labelledby", Tabs.idOf(settings.status));
    const back = left?.hash === hashOf(settings) && left.data !== null;
    if (back) this.#counts.set(left.counts);
    this.#counts.restart({ keep: true });
    if (back) {
      this.#wanted = left.wanted;
      this.#products.set(left.data);
      this.#products.refresh();
    } else {
      this.#products.restart();
    }
  }

  #choose(status) {
    if (status !== this.#settings.status) location.hash = hashOf({ ...this.#settings, status });
  }

  #filter(values) {
    const settings = { ...this.#settings, ...values };
    if (hashOf(settings) === hashOf(this.#settings)) return;
    left = null;
    replaceAddress(settings);
    this.#apply(settings);
  }

  #query() {
    return { ...this.#settings };
  }

  #loadCounts(signal) {
    const { reason, region, q, seller_id } = this.#settings;
    return getJson("counts", { reason, region, q, seller_id }, { signal });
  }

  async #loadProducts(signal) {
    const items = [];
    let cursor = null;
    do {
      const page = await getJson("products", { ...this.#query(), limit: PAGE, cursor }, { signal });
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor && items.length < this.#wanted);
    return { items, cursor };
  }

  async #more() {
    const before = this.#products.data;
    this.#wanted = before.items.length + PAGE;
    this.#parts.more.disabled = true;
    try {
      const page = await getJson("products", { ...this.#query(), limit: PAGE, cursor: before.cursor });
      // What came in the meantime was loaded with the new length, or is about to be.
      if (this.#products.data !== before) this.#products.refresh();
      else this.#products.set({ items: [...before.items, ...page.items], cursor: page.next_cursor });
      this.element.querySelectorAll("tbody a.open")[before.items.length]?.focus();
      announce(this.#parts.shown.textContent);
    } catch (error) {
      if (error.kind === "signed-out") this.#app.onSignedOut(error);
      else announce(t("list.more-failed"));
    } finally {
      this.#parts.more.disabled = false;
    }
  }

  #showCounts({ data, error }) {
    if (error?.kind === "signed-out") return this.#app.onSignedOut(error);
    this.#parts.tabs.count(data);
    this.#showShown();
    if (this.#products.data?.items.length === 0) this.#products.set(this.#products.data); // its words name the counts
    return undefined;
  }

  #showProducts({ data, error, busy }) {
    if (error?.kind === "signed-out") return this.#app.onSignedOut(error);
    const { panel } = this.#parts;
    panel.setAttribute("aria-busy", String(busy));
    morphChildren(panel, this.#panelParts(data, error));
    if (data) this.#known = new Map(data.items.map((item) => [item.product_id, item.sequence]));
    this.#parts.more.hidden = !data?.cursor;
    this.#showShown();
    return undefined;
  }

  #panelParts(data, error) {
    if (data === null) return [error ? errorBox(error, () => this.#retry()) : loadingBox()];
    const note = error ? [staleNote(error)] : [];
    if (data.items.length === 0) return [...note, this.#empty()];
    const caption = t("list.caption", { status: t(`status.${this.#settings.status}`) });
    return [...note, productTable(data.items, { operator: this.#app.session.viewer.operator, caption, known: this.#known })];
  }

  #retry() {
    this.#counts.restart({ keep: true });
    this.#products.restart();
  }

  #empty() {
    if (Filters.narrow(this.#settings)) {
      const clear = h("button", { type: "button", class: "button", onclick: () => this.#parts.filters.clear() }, t("filter.clear"));
      return emptyBox(t("empty.filtered.title"), t("empty.filtered.text"), clear);
    }
    const { status } = this.#settings;
    const counts = this.#counts.data ?? {};
    const other = TABS.find((tab) => tab !== status && counts[tab] > 0);
    const look = other && h("a", { class: "button", href: hashOf({ ...this.#settings, status: other }) }, t(`empty.see.${other}`, { n: counts[other] }));
    return emptyBox(t(`empty.${status}.title`), t(`empty.${status}.text`), look);
  }

  #showShown() {
    const items = this.#products?.data?.items.length ?? 0;
    const total = Math.max(items, this.#counts?.data?.[this.#settings.status] ?? 0);
    this.#parts.shown.textContent = items > 0 ? t("list.shown", { shown: items, n: total }) : "";
  }

  /** Say a move to those who look, and to those who listen. */
  #tell({ product_id: id, previous_status: before, current_status: now }) {
    const product = shown(id);
    const values = { from: t(`status.${before ?? "clear"}`), to: t(`status.${now}`) };
    const what = before === now ? t("news.reasons", values) : t("news.moved", values);
    this.#latest = [h("a", { href: productHash(id) }, idText(id)), " ", what];
    this.#newsTimer ??= setTimeout(() => {
      this.#newsTimer = null;
      this.#parts.news.replaceChildren(...this.#latest);
    }, NEWS_MS);
    announce(`${product} ${what}`, (n) => t("news.many", { n }));
  }
}

// What is around every view: skip link, banner, breadcrumb, the state of the connection, the place of the view.
import { h, idText } from "./dom.js";
import { announceIn } from "./announce.js";
import { listAddress } from "./address.js";
import { t } from "./texts.js";

/**
 * Draw the frame into `root`.
 * @returns {{main: HTMLElement, setPlace(route): void, setConnection(state: string|null): void}}
 */
export function buildFrame(root, session) {
  const main = h("main", { id: "main", tabindex: "-1", class: "page" });
  const crumbs = h("ol", { class: "crumbs" });
  const connection = h("span", { class: "connection", hidden: true });
  const live = h("div", { class: "unseen", "aria-live": "polite", role: "status" });
  const skip = h("a", { class: "skip", href: "#main", onclick: (event) => skipTo(event, main) }, t("frame.skip"));
  root.replaceChildren(
    skip,
    h("header", { class: "top" },
      session.demo && h("p", { class: "banner", "data-demo": true }, t("frame.demo")),
      h("div", { class: "bar page" }, h("nav", { "aria-label": t("frame.breadcrumb") }, crumbs), connection)),
    main, live);
  announceIn(live);
  fill(crumbs, { view: "list" });
  return {
    main,
    setPlace: (place) => fill(crumbs, place),
    setConnection(state) {
      connection.hidden = state === null;
      connection.dataset.connection = state ?? "";
      connection.textContent = state === null ? "" : t(`connection.${state}`);
    },
  };
}

/** The skip link must not change the address: the hash is the route. */
function skipTo(event, main) {
  event.preventDefault();
  main.focus();
}

function fill(crumbs, place) {
  const here = { "aria-current": "page" };
  const inDetails = place.view === "details";
  crumbs.replaceChildren(
    h("li", {}, t("crumb.products")),
    h("li", {}, t("crumb.accelerator")),
    h("li", {}, inDetails ? h("a", { href: listAddress() }, t("list.title")) : h("span", here, t("list.title"))),
    ...(inDetails ? [h("li", {}, h("span", here, idText(place.productId)))] : []));
}

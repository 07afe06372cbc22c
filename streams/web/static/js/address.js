// The list's settings in the address, and the last of them, to come back to.
import { listHash, route } from "./router.js";
import { METRICS, TABS } from "./status.js";

export const SORTS = ["severity", "-effective_at", "effective_at", "product_id"];

let last = listHash({});

/** The address of the list as it was last looked at. */
export const listAddress = () => last;

/**
 * The settings that an address asks for; what it does not know is left at its default.
 * @param {URLSearchParams} params
 */
export function settingsOf(params) {
  const oneOf = (name, allowed, otherwise) => (allowed.includes(params.get(name)) ? params.get(name) : otherwise);
  return {
    status: oneOf("status", TABS, TABS[0]),
    reason: oneOf("reason", METRICS, ""),
    region: params.get("region") ?? "",
    q: params.get("q") ?? "",
    seller_id: params.get("seller_id") ?? "",
    sort: oneOf("sort", SORTS, SORTS[0]),
  };
}

export function remember(settings) {
  last = hashOf(settings);
}

/** The address of these settings, the defaults left out. */
export function hashOf(settings) {
  const { status, sort, ...rest } = settings;
  return listHash({ status: status === TABS[0] ? "" : status, ...rest, sort: sort === SORTS[0] ? "" : sort });
}

/** Put the settings into the address without a step in the history: typing is not travelling. */
export function replaceAddress(settings) {
  if (route().view === "list") history.replaceState(null, "", hashOf(settings));
}

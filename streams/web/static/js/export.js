// The list as a CSV file. It is fetched, as a plain link could not carry the token, and then saved.
import { request } from "./api.js";
import { announce } from "./announce.js";
import { h } from "./dom.js";
import { t } from "./texts.js";

const FILE_NAME = "flagged-products.csv";

/** @param {() => Object<string, string>} query the filters of the list as they are now */
export function exportButton(query) {
  const note = h("span", { class: "sub" });
  const button = h("button", { type: "button", class: "button", "data-export": true, onclick: run }, t("export.action"));
  async function run() {
    button.disabled = true;
    note.textContent = "";
    try {
      const response = await request("export.csv", query(), { headers: { Accept: "text/csv" } });
      save(await response.blob());
      announce(t("export.done"));
    } catch {
      note.textContent = t("export.failed");
      announce(t("export.failed"));
    } finally {
      button.disabled = false;
    }
  }
  return h("div", { class: "export" }, button, note);
}

function save(blob) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: FILE_NAME });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads it after the click has returned.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

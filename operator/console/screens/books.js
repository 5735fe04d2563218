/** The books: what reconciliation found of each sale, and a run of it. */

import { ask, get } from "../parts/api.js";
import { confirm } from "../parts/dialog.js";
import { h, put } from "../parts/dom.js";
import { count, moment, money as amount } from "../parts/format.js";
import { holder, may } from "../parts/session.js";
import { alert } from "../parts/tell.js";
import { named, t } from "../words/words.js";
import { table } from "./live.js";

/** @returns {import("../main.js").Screen} */
export function showBooks() {
  const over = new AbortController();
  const list = h("div", { class: "stack" }, h("p", { class: "muted" }, t("loading")));
  const shop = holder().order_backend === "external";
  const fill = (/** @type {any} */ found) =>
    put(list, found.sales.length === 0 ? h("p", { class: "empty card" }, shop ? t("books.shop") : t("books.none")) :
      found.sales.map((/** @type {any} */ one) => card(one, () => void run(one.sale))));
  const show = async () => {
    try {
      fill(await get("/v1/reconciliation", over.signal));
    } catch (error) {
      if (!over.signal.aborted) put(list, alert(error));
    }
  };
  /** @param {string | null} sale every one, if `null` */
  const run = (sale) =>
    confirm({
      title: sale ? t("books.run-one", { sale }) : t("books.run-all"),
      says: [t("books.run-says"), t("books.run-freezes")],
      act: t("books.run"),
      reason: "asked",
      work: async (reason) => {
        const body = { ...(sale ? { sale } : {}), ...(reason ? { reason } : {}) };
        const found = await ask("POST", "/v1/reconciliation/run", { body });
        await show();
        return found.sound ? t("books.sound") : t("books.unsound");
      },
    });
  void show();
  const element = h("section", null,
    h("div", { class: "head" }, h("h1", null, t("books.title")),
      h("div", { class: "row" }, h("button", { class: "button", onclick: () => void show() }, t("refresh")),
        may("operator") && !shop && h("button", { class: "button primary", "data-action": "run", onclick: () => void run(null) }, t("books.run-all")))),
    h("p", { class: "muted" }, t("books.says")), list);
  return { title: t("books.title"), element, stop: () => over.abort() };
}

/**
 * Where the money of a sale is, by currency: taken = kept + refunded + on its way.
 *
 * @param {any} found
 */
function money(found) {
  const balances = found.money ?? [];
  if (balances.length === 0) return null;
  const parts = ["taken", "kept", "refunded", "in_flight"];
  const rows = balances.map((/** @type {any} */ one) =>
    h("tr", null, h("th", { scope: "row" }, one.currency),
      parts.map((part) => h("td", { class: "number" }, amount(one[part], one.currency)))));
  return table(`${t("books.money")}: ${found.sale}`, [t("create.currency"), ...parts.map((part) => named("money", part))], h("tbody", null, rows));
}

/**
 * @param {any} found
 * @param {() => void} run
 */
function card(found, run) {
  const heads = [t("sku"), t("stock.total"), t("stock.available"), t("stock.held"), t("stock.sold"), t("stock.owed"), t("books.gate"), t("live.drift"), t("books.left")];
  const rows = found.skus.map((/** @type {any} */ sku) =>
    h("tr", null, h("th", { scope: "row" }, sku.sku),
      ["total", "available", "held", "sold", "owed"].map((name) => h("td", { class: "number" }, count(sku[name]))),
      h("td", { class: "number" }, sku.gate ? t("books.gate-is", { available: count(sku.gate.available), held: count(sku.gate.held) }) : t("books.cold")),
      h("td", { class: "number" }, count(sku.drift)), h("td", { class: "number" }, count(sku.remaining_drift))));
  return h("article", { class: "card", "data-books": found.sale },
    h("div", { class: "head" },
      h("h2", null, h("a", { href: `#/sale/${encodeURIComponent(found.sale)}` }, found.sale)),
      h("span", { class: `state verdict-${found.verdict}` }, named("verdict", found.verdict))),
    h("p", { class: "fine" }, t("books.fine", {
      time: moment(found.at), holds: count(found.live_holds), repaired: count(found.repaired), leaks: count(found.leaks) }),
      found.unexplained_runs > 0 && ` · ${t("books.unexplained", { n: count(found.unexplained_runs) })}`),
    found.findings.length > 0 &&
      h("ul", { class: "findings" }, found.findings.map((/** @type {any} */ one) =>
        h("li", null, h("strong", null, named("finding", one.kind), one.sku && ` · ${one.sku}`, ` · ${count(one.units)} `), one.detail))),
    table(`${t("report.balance")}: ${found.sale}`, heads, h("tbody", null, rows)),
    money(found),
    may("operator") && h("div", { class: "row end" }, h("button", { class: "button", "data-action": "run", onclick: run }, t("books.run"))));
}

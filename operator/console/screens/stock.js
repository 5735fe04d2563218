/** The goods: what there is of each, and more of it. */

import { ask } from "../parts/api.js";
import { confirm } from "../parts/dialog.js";
import { h, put } from "../parts/dom.js";
import { count, money } from "../parts/format.js";
import { unitsOf } from "../parts/goods.js";
import { may } from "../parts/session.js";
import { alert } from "../parts/tell.js";
import { t } from "../words/words.js";

/**
 * @param {import("./sale.js").Frame} frame
 * @returns {import("./sale.js").Page}
 */
export function stockPage(frame) {
  const adds = may("operator") && frame.sale.control !== "closed";
  const cards = h("div", { class: "cards" });
  /** @type {Map<string, HTMLElement>} */
  const figures = new Map();
  put(cards, frame.sale.skus.map((/** @type {any} */ sku) => {
    const list = h("dl", { class: "figures" });
    figures.set(sku.sku, list);
    return h("section", { class: "card", "aria-label": sku.sku },
      h("div", { class: "head" }, h("h2", null, sku.sku), h("span", null, money(sku.amount_fen, sku.currency))),
      sku.seats && h("p", { class: "fine" }, t("stock.seated", { seats: count(sku.seats.length), legs: count(sku.stops.length - 1) })),
      // Seats are what they are; there are no more of them.
      list, adds && !sku.seats && adding(frame, sku.sku));
  }));
  const show = () => {
    for (const sku of frame.sale.skus) {
      const known = frame.stats?.skus.find((/** @type {any} */ one) => one.sku === sku.sku)?.ledger;
      const figure = (/** @type {string} */ name, /** @type {number | undefined} */ value) =>
        h("div", null, h("dt", null, name), h("dd", { class: "number" }, count(value)));
      const list = figures.get(sku.sku);
      if (list) put(list, figure(t("stock.total"), known?.total ?? unitsOf(sku)), figure(t("stock.available"), known?.available),
        figure(t("stock.held"), known?.held), figure(t("stock.sold"), known?.sold));
    }
  };
  show();
  return { element: cards, onStats: show, onSale: show };
}

/**
 * A repeat would add twice: the change names the version it is meant for, so that a lost answer is no danger.
 *
 * @param {import("./sale.js").Frame} frame
 * @param {string} sku
 */
function adding(frame, sku) {
  const id = `add-${sku}`;
  const input = /** @type {HTMLInputElement} */ (
    h("input", { id, type: "number", min: 1, step: 1, inputmode: "numeric", "data-field": "add" }));
  const trouble = h("div", { role: "alert" });
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const add = Number(input.value);
    if (input.value === "" || !Number.isInteger(add) || add < 1) {
      input.setAttribute("aria-invalid", "true");
      put(trouble, h("p", { class: "trouble" }, t("stock.whole")));
      return input.focus();
    }
    input.removeAttribute("aria-invalid");
    put(trouble);
    const total = frame.sale.skus.find((/** @type {any} */ one) => one.sku === sku).stock;
    await confirm({
      title: t("stock.confirm", { n: count(add), sku }),
      says: [t("stock.says", { before: count(total), after: count(total + add) }), t("stock.final")],
      act: t("stock.add"),
      reason: "needed",
      work: async (reason) => {
        const path = frame.path(`/skus/${encodeURIComponent(sku)}/stock`);
        try {
          frame.learn(await ask("POST", path, { body: { add, reason }, ifMatch: frame.sale.version }));
        } catch (error) {
          // Somebody changed the sale, or our own answer was lost: what there is now is shown before it is tried again.
          await frame.reload().catch(() => {});
          put(trouble, alert(error));
          throw error;
        }
        input.value = "";
        return t("stock.done", { n: count(add), sku });
      },
    });
  };
  return h("form", { class: "inline", novalidate: true, onsubmit: submit },
    h("p", { class: "field" }, h("label", { for: id }, t("stock.more")), input),
    h("button", { class: "button", type: "submit" }, t("stock.add")), trouble);
}

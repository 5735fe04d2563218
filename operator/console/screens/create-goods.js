/** The goods of a new sale: a row for each SKU, counted in units or seated on legs, and what will be made of it. */

import { h, say } from "../parts/dom.js";
import { count, digitsOf, money, smallestUnits } from "../parts/format.js";
import { readSeats, readStops } from "../parts/seats.js";
import { t } from "../words/words.js";

const SKUS_MAX = 200;
/** Labels that are told of one SKU: the first ones, and the last. */
const TOLD_FIRST = 8;

/** @typedef {{ input: Element, what: string }} Wrong what is no good as it stands, and where */

export class Goods {
  /**
   * @param {HTMLInputElement} currency
   */
  constructor(currency) {
    this.currency = currency;
    this.rows = h("div", { class: "skus", oninput: () => this.foretell() });
    currency.addEventListener("input", () => this.foretell());
    this.more = h("button", { class: "button", type: "button", onclick: () => this.add() }, t("create.add-sku"));
    this.add();
  }

  add() {
    if (this.rows.children.length >= SKUS_MAX) return;
    this.rows.append(skuRow(() => this.number()));
    this.number();
  }

  /** Gives each row the path the API calls it by, and hides the last way to have none. */
  number() {
    [...this.rows.children].forEach((row, place) => {
      for (const one of row.querySelectorAll("[data-part]")) {
        one.setAttribute("data-field", `skus[${place}].${/** @type {HTMLElement} */ (one).dataset.part}`);
      }
      const remove = /** @type {HTMLButtonElement} */ (row.querySelector("button"));
      remove.hidden = this.rows.children.length === 1;
    });
  }

  code() {
    return this.currency.value.trim().toUpperCase();
  }

  foretell() {
    for (const row of this.rows.children) {
      const place = row.querySelector(".foretold");
      if (place) say(place, foretold(row, this.code()));
    }
  }

  /**
   * The SKUs as the API takes them, or what cannot even be written as one.
   *
   * @returns {any[] | Wrong}
   */
  read() {
    if (!/^[A-Z]{3}$/.test(this.code())) return { input: this.currency, what: t("create.currency-help") };
    const goods = [];
    for (const row of this.rows.children) {
      const sku = skuOf(row, this.code());
      if ("what" in sku) return /** @type {Wrong} */ (sku);
      goods.push(sku);
    }
    return goods;
  }
}

/**
 * @param {Element} row
 * @param {string} name
 */
function part(row, name) {
  return /** @type {HTMLInputElement} */ (row.querySelector(`[data-part=${name}]`));
}

/**
 * @param {Element} row
 */
function isSeated(row) {
  return part(row, "kind").value === "seated";
}

/**
 * @param {Element} row
 * @param {string} currency
 * @returns {Record<string, unknown> | Wrong}
 */
function skuOf(row, currency) {
  const [sku, stock, price] = [part(row, "sku"), part(row, "stock"), part(row, "amount_fen")];
  if (!/^[a-z0-9-]{1,63}$/.test(sku.value.trim())) return { input: sku, what: t("create.sku-help") };
  const amount = smallestUnits(price.value, currency);
  const badPrice = { input: price, what: t("create.price-help", { digits: digitsOf(currency) }) };
  const common = { sku: sku.value.trim(), amount_fen: amount, currency };
  if (!isSeated(row)) {
    if (!/^\d{1,15}$/.test(stock.value.trim())) return { input: stock, what: t("create.stock-help") };
    return amount === null ? badPrice : { ...common, stock: Number(stock.value) };
  }
  const { seats, wrong } = readSeats(part(row, "seats").value);
  if (wrong !== null) return { input: part(row, "seats"), what: t("create.seats-wrong", { range: wrong }) };
  return amount === null ? badPrice : { ...common, seats, stops: readStops(part(row, "stops").value) };
}

/**
 * What will be made of a row, in a sentence; nothing while there is nothing to say.
 *
 * @param {Element} row
 * @param {string} currency
 */
function foretold(row, currency) {
  if (!isSeated(row)) return "";
  const { seats, wrong } = readSeats(part(row, "seats").value);
  if (wrong !== null) return t("create.seats-wrong", { range: wrong });
  if (seats.length === 0) return "";
  const all = seats.length <= TOLD_FIRST + 2;
  const labels = all ? seats.join(", ") : `${seats.slice(0, TOLD_FIRST).join(", ")} … ${seats[seats.length - 1]}`;
  const stops = readStops(part(row, "stops").value);
  const amount = /^[A-Z]{3}$/.test(currency) ? smallestUnits(part(row, "amount_fen").value, currency) : null;
  return [
    t("create.will-seats", { n: count(seats.length), labels }),
    stops.length > 1 && t("create.will-call", { legs: count(stops.length - 1), stops: stops.join(" → ") }),
    amount !== null && t("create.will-cost", { price: money(amount, currency) }),
  ].filter((one) => one !== false).join(" ");
}

/**
 * @param {() => void} onGone
 */
function skuRow(onGone) {
  const kind = h("select", { "data-part": "kind", onchange: () => choose() },
    ["counted", "seated"].map((one) => h("option", { value: one }, t(/** @type {any} */ (`create.${one}`)))));
  const stock = labelled(t("create.stock"), h("input", { "data-part": "stock", inputmode: "numeric" }));
  const seats = h("div", { class: "fields seating" },
    labelled(t("create.seats"), h("textarea", { "data-part": "seats", rows: 4, spellcheck: "false", placeholder: "01A-01F, 02A-02F" }), t("create.seats-help")),
    labelled(t("create.stops"), h("textarea", { "data-part": "stops", rows: 4, spellcheck: "false" }), t("create.stops-help")));
  const choose = () => {
    const seated = /** @type {HTMLSelectElement} */ (kind).value === "seated";
    stock.hidden = seated;
    seats.hidden = !seated;
  };
  const row = h("div", { class: "sku-row" },
    labelled(t("sku"), h("input", { "data-part": "sku", autocomplete: "off", spellcheck: "false", autocapitalize: "off", maxlength: 63 })),
    labelled(t("create.kind"), kind), stock,
    labelled(t("create.price"), h("input", { "data-part": "amount_fen", inputmode: "decimal" })),
    h("button", { class: "button quiet", type: "button", "data-action": "remove-sku", onclick: () => {
      row.remove();
      onGone();
    } }, t("create.remove-sku")),
    seats, h("p", { class: "fine foretold", role: "status" }));
  choose();
  return row;
}

/**
 * @param {string} label
 * @param {HTMLElement} input
 * @param {string} [help]
 */
function labelled(label, input, help) {
  return h("p", { class: "field" }, h("label", null, h("span", null, label), input), help && h("span", { class: "fine" }, help));
}

/** A new sale: its name, its times, its goods, and the first numbers of its policy. */

import { ask } from "../parts/api.js";
import { h, put } from "../parts/dom.js";
import { alert, mark, tell } from "../parts/tell.js";
import { t } from "../words/words.js";
import { Goods } from "./create-goods.js";
import { FIELDS, field, read } from "./policy-fields.js";

const CURRENCIES = ["CNY", "USD", "EUR", "HKD", "JPY", "GBP", "SGD"];
/** What a sale has that says nothing of its policy: the form begins from it and sends only what differs. */
const DEFAULTS = {
  fraction: 0.02, ceiling_per_second: 2000, tail_per_second: 0, multiplier: 1, refuse_while_paused: false, line_cap: 50_000,
  overflow: "standby", standby_cap: 50_000, on_sold_out: "settle", per_buyer_units: 10, payment_window_seconds: 900,
  expire_silent_after_seconds: 900, outcome_timeout_seconds: 60, limits: {},
};

/** @returns {import("../main.js").Screen} */
export function showCreate() {
  const trouble = h("div", { role: "alert" });
  const currency = /** @type {HTMLInputElement} */ (
    h("input", { id: "currency", list: "currencies", value: "CNY", maxlength: 3, size: 4, "data-field": "skus.currency", autocapitalize: "characters" }));
  const goods = new Goods(currency);
  const simple = (/** @type {string} */ name, /** @type {Record<string, any>} */ more, /** @type {string} */ help) =>
    h("p", { class: "field" }, h("label", { for: `sale-${name}` }, t(/** @type {any} */ (`create.${name}`))),
      h("input", { id: `sale-${name}`, "data-field": name, "aria-describedby": `sale-${name}-help`, ...more }),
      h("span", { class: "fine", id: `sale-${name}-help` }, help));
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const policy = (/** @type {boolean} */ first) => FIELDS.filter((one) => one.first === first).map((one) => field(one, DEFAULTS, false));
  const form = h(
    "form",
    { class: "card", novalidate: true, onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void create();
    } },
    h("div", { class: "fields" },
      simple("id", { required: true, maxlength: 63, pattern: "[a-z0-9\\-]+", autocomplete: "off", spellcheck: "false", autocapitalize: "off" }, t("create.id-help")),
      simple("title", { maxlength: 500 }, t("create.title-help")),
      simple("opens_at", { type: "datetime-local" }, t("create.opens-help", { zone })),
      simple("closes_at", { type: "datetime-local" }, t("create.closes-help", { zone }))),
    h("fieldset", null, h("legend", null, t("create.skus")),
      h("p", { class: "field short" }, h("label", { for: "currency" }, t("create.currency")), currency,
        h("datalist", { id: "currencies" }, CURRENCIES.map((one) => h("option", { value: one })))),
      goods.rows, goods.more),
    h("fieldset", { "data-policy": true }, h("legend", null, t("create.policy")),
      h("div", { class: "fields" }, policy(true)),
      h("details", null, h("summary", null, t("tune.more")), h("div", { class: "fields" }, policy(false)))),
    trouble,
    h("div", { class: "row end" }, h("a", { class: "button", href: "#/" }, t("cancel")),
      h("button", { class: "button primary", type: "submit" }, t("create.make"))),
  );

  async function create() {
    put(trouble);
    mark(form, null);
    const said = await gather();
    if (!said) return;
    try {
      const sale = await ask("POST", "/v1/sales", { body: said });
      tell(t("create.done", { sale: sale.title }));
      location.hash = `#/sale/${encodeURIComponent(sale.id)}/checklist`;
    } catch (error) {
      put(trouble, alert(error));
      mark(form, error);
    }
  }

  /** The body, or nothing when something cannot even be written as one. */
  async function gather() {
    const value = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.querySelector(`#sale-${name}`)).value.trim();
    const wrong = (/** @type {Element | null} */ input, /** @type {string} */ what) => {
      put(trouble, h("p", { class: "trouble" }, what));
      input?.setAttribute("aria-invalid", "true");
      if (input instanceof HTMLElement) input.focus();
      return null;
    };
    if (!/^[a-z0-9-]{1,63}$/.test(value("id"))) return wrong(form.querySelector("#sale-id"), t("create.id-help"));
    const skus = goods.read();
    if (!Array.isArray(skus)) return wrong(skus.input, skus.what);
    const at = (/** @type {string} */ name) => (value(name) ? new Date(value(name)).toISOString() : null);
    return { id: value("id"), title: value("title"), opens_at: at("opens_at"), closes_at: at("closes_at"), skus, policy: read(form, DEFAULTS) };
  }

  const element = h("section", null, h("h1", null, t("create.heading")), form);
  return { title: t("create.heading"), element };
}

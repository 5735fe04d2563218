/**
 * Before it opens: what can be known from here, and whether it is as it should be. What nobody here can know is said to be
 * unknown; there is no green light for it.
 *
 * @typedef {"good" | "look" | "bad" | "unknown"} Verdict
 * @typedef {{ verdict: Verdict, what: string, says: string, go?: string }} Item
 */

import { ask, get } from "../parts/api.js";
import { h, put } from "../parts/dom.js";
import { count, lasting, moment, percent } from "../parts/format.js";
import { stockOf, unitsOf } from "../parts/goods.js";
import { isReady, look } from "../parts/node.js";
import { holder } from "../parts/session.js";
import { named, t } from "../words/words.js";

/** Most buyers a preview takes. */
const SHOPPERS_MAX = 1_000_000;

/**
 * @param {import("./sale.js").Frame} frame
 * @returns {import("./sale.js").Page}
 */
export function checklistPage(frame) {
  const over = new AbortController();
  const list = h("ul", { class: "checks" });
  const sum = h("p", { class: "sum", role: "status" }, t("loading"));
  const again = h("button", { class: "button", onclick: () => void check() }, t("check.again"));
  const check = async () => {
    again.setAttribute("disabled", "");
    const items = [...ofTheSale(frame.sale), ...(await Promise.all([ofTheCrowd(frame, over.signal), ofTheHouse(frame, over.signal)])).flat()];
    if (over.signal.aborted) return;
    const number = (/** @type {Verdict} */ verdict) => items.filter((item) => item.verdict === verdict).length;
    put(sum, t("check.sum", { good: number("good"), look: number("look"), bad: number("bad"), unknown: number("unknown") }));
    put(list, items.map((item) =>
      h("li", { class: `check-${item.verdict}` },
        h("span", { class: "verdict" }, t(`check.${item.verdict}`)),
        h("div", null, h("strong", null, item.what), h("p", null, item.says, item.go && " ",
          item.go && h("a", { href: item.go }, t("check.go")))))));
    again.removeAttribute("disabled");
  };
  void check();
  const element = h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", null, t("check.title")), again),
    h("p", { class: "muted" }, t("check.says")), sum, list);
  return { element, stop: () => over.abort() };
}

/**
 * @param {Verdict} verdict
 * @param {string} what
 * @param {string} says
 * @param {string} [go]
 * @returns {Item}
 */
function item(verdict, what, says, go) {
  return { verdict, what, says, go };
}

/**
 * @param {any} sale
 */
function ofTheSale(sale) {
  const { policy } = sale;
  const page = (/** @type {string} */ tab) => `#/sale/${encodeURIComponent(sale.id)}/${tab}`;
  const stock = stockOf(sale);
  const none = sale.skus.filter((/** @type {any} */ sku) => unitsOf(sku) === 0).map((/** @type {any} */ sku) => sku.sku);
  const free = sale.skus.filter((/** @type {any} */ sku) => sku.amount_fen === 0).map((/** @type {any} */ sku) => sku.sku);
  const languages = Object.keys(sale.notice ?? {});
  return [
    sale.control === "running"
      ? item("good", t("check.control"), t("check.running"))
      : item("bad", t("check.control"), t("check.not-running", { state: named("state", sale.control) })),
    none.length > 0
      ? item("bad", t("check.stock"), t("check.no-stock", { skus: none.join(", ") }), page("stock"))
      : item("good", t("check.stock"), t("check.stock-is", { n: count(stock), skus: count(sale.skus.length) })),
    free.length > 0
      ? item("look", t("check.price"), t("check.free", { skus: free.join(", ") }))
      : item("good", t("check.price"), t("check.priced")),
    ofOpening(sale),
    sale.closes_at
      ? item("good", t("check.closes"), moment(sale.closes_at))
      : item("look", t("check.closes"), t("check.never-closes")),
    policy.multiplier === 1
      ? item("good", t("check.multiplier"), t("check.full-speed"))
      : item(policy.multiplier === 0 ? "bad" : "look", t("check.multiplier"), t("check.slowed", { share: percent(policy.multiplier) }), page("tune")),
    policy.tail_per_second * policy.multiplier > 0
      ? item("good", t("check.tail"), t("check.tail-is", { n: count(policy.tail_per_second, 2) }))
      : item("look", t("check.tail"), t("check.no-tail"), page("tune")),
    policy.line_cap < stock
      ? item("look", t("check.cap"), t("check.cap-small", { cap: count(policy.line_cap), stock: count(stock) }), page("tune"))
      : item("good", t("check.cap"), t("check.cap-is", { cap: count(policy.line_cap) })),
    item(policy.payment_window_seconds < 60 ? "look" : "good", t("check.window"), t("check.window-is", { time: lasting(policy.payment_window_seconds), n: count(policy.per_buyer_units) })),
    languages.length === 0 || (languages.includes("en") && languages.includes("zh"))
      ? item("good", t("check.notice"), languages.length === 0 ? t("check.notice-none") : t("check.notice-both"))
      : item("look", t("check.notice"), t("check.notice-some", { languages: languages.join(", ") }), page("notice")),
  ];
}

/**
 * @param {any} sale
 */
function ofOpening(sale) {
  const what = t("check.opens");
  if (sale.opens_at === null) return item("look", what, t("check.opens-at-once"));
  const away = (Date.parse(sale.opens_at) - Date.parse(sale.now)) / 1000;
  if (away <= 0) return item("look", what, t("check.opened", { time: moment(sale.opens_at) }));
  return item("good", what, t("check.opens-in", { time: moment(sale.opens_at), away: lasting(away) }));
}

/**
 * How long it takes if there is a buyer for every unit at the beginning: the quickest the law allows.
 *
 * @param {import("./sale.js").Frame} frame
 * @param {AbortSignal} signal
 * @returns {Promise<Item[]>}
 */
async function ofTheCrowd(frame, signal) {
  const what = t("check.length");
  const stock = stockOf(frame.sale);
  const shoppers = Math.min(stock, SHOPPERS_MAX, frame.sale.policy.line_cap);
  try {
    const { present } = await ask("POST", frame.path("/preview"), { body: { policy: {}, crowd: { shoppers, within_seconds: 0 } }, signal });
    const waits = { p95: lasting(present.waits_seconds.p95), shoppers: count(shoppers) };
    if (present.sold_out_seconds === null) return [item("look", what, t("check.never-sold-out", waits))];
    const hours = present.sold_out_seconds > 3_600;
    return [item(hours ? "look" : "good", what, t("check.sold-out-in", { ...waits, time: lasting(present.sold_out_seconds) }))];
  } catch (error) {
    return [item("unknown", what, error instanceof Error ? error.message : "")];
  }
}

/**
 * @param {import("./sale.js").Frame} frame
 * @param {AbortSignal} signal
 * @returns {Promise<Item[]>}
 */
async function ofTheHouse(frame, signal) {
  const failed = () => null;
  const [ready, node, stats, books, letters, bans] = await Promise.all([
    isReady(),
    look(frame.id, signal).catch(failed),
    get(frame.path("/stats"), signal).catch(failed),
    get(`/v1/reconciliation?sale=${encodeURIComponent(frame.id)}`, signal).catch(failed),
    get("/v1/dead-letters?limit=1", signal).catch(failed),
    get("/v1/bans", signal).catch(failed),
  ]);
  const asked = (/** @type {unknown} */ known, /** @type {string} */ what, /** @type {() => Item} */ then) =>
    known === null ? item("unknown", what, t("check.no-answer")) : then();
  const found = books?.sales[0] ?? null;
  return [
    item(ready ? "good" : "bad", t("check.ready"), ready ? t("check.is-ready") : t("check.not-ready")),
    asked(stats, t("check.stores"), () =>
      stats.missing.length > 0
        ? item("bad", t("check.stores"), t("check.stores-missing", { stores: stats.missing.map((/** @type {string} */ one) => named("store", one)).join(", ") }))
        : item("good", t("check.stores"), t("check.stores-answer"))),
    asked(stats, t("check.speaker"), () =>
      stats.line.stale || stats.rate.wanted_per_second === null
        ? item("bad", t("check.speaker"), t("check.silent"))
        : item("good", t("check.speaker"), t("check.speaks"))),
    ofProviders(node),
    holder().order_backend === "external"
      ? item("unknown", t("check.books"), t("check.books-shop"))
      : asked(books, t("check.books"), () =>
          found === null
            ? item("look", t("check.books"), t("check.books-never"), "#/books")
            : item(["balanced", "repaired"].includes(found.verdict) ? "good" : "bad", t("check.books"), t("check.books-found", { verdict: named("verdict", found.verdict), time: moment(found.at) }), "#/books")),
    asked(letters, t("check.letters"), () =>
      letters.letters.length > 0
        ? item("look", t("check.letters"), t("check.letters-some"), "#/letters")
        : item("good", t("check.letters"), t("check.letters-none"))),
    asked(bans, t("check.bans"), () =>
      item("good", t("check.bans"), t("check.bans-are", { n: count(bans.bans.length) }), "#/bans")),
  ];
}

/**
 * Only a node that calls the payment provider knows whether it answers.
 *
 * @param {import("../parts/node.js").Node | null} node
 */
function ofProviders(node) {
  const what = t("check.provider");
  if (!node || node.providers.size === 0) return item("unknown", what, t("check.provider-elsewhere"));
  const down = [...node.providers].filter(([, up]) => !up).map(([name]) => name);
  const names = [...node.providers.keys()].join(", ");
  return down.length > 0
    ? item("bad", what, t("check.provider-down", { names: down.join(", ") }))
    : item("good", what, t("check.provider-up", { names }));
}

/** All sales at a glance: what each is doing now, the open ones first. */

import { get } from "../parts/api.js";
import { h, put } from "../parts/dom.js";
import { clock, count, lasting, moment, perSecond } from "../parts/format.js";
import { stockOf } from "../parts/goods.js";
import { fresh, stale } from "../parts/freshness.js";
import { may } from "../parts/session.js";
import { alert } from "../parts/tell.js";
import { named, t } from "../words/words.js";

const EVERY_MS = 2_000;
/** Sales whose figures are asked for, each time; the others show what the list itself tells. */
const FIGURES_MAX = 20;
const ORDER = ["open", "paused", "frozen", "scheduled", "sold_out", "closed"];

/** @returns {import("../main.js").Screen} */
export function showSales() {
  const over = new AbortController();
  const list = h("div", { class: "cards" }, h("p", { class: "muted" }, t("loading")));
  const element = h(
    "section",
    null,
    h("div", { class: "head" },
      h("h1", null, t("sales.title")),
      may("operator") && h("a", { class: "button primary", href: "#/new" }, t("sales.new"))),
    list,
  );
  void keepLooking(list, over.signal);
  return { title: t("sales.title"), element, stop: () => over.abort() };
}

/**
 * @param {HTMLElement} list
 * @param {AbortSignal} over
 */
async function keepLooking(list, over) {
  /** @type {number | null} */
  let told = null;
  // Nothing is put in the place of a card under a finger: its click would be lost.
  let pressed = false;
  list.addEventListener("pointerdown", () => (pressed = true));
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, () => setTimeout(() => (pressed = false)), { signal: over });
  }
  while (!over.aborted) {
    try {
      const { sales, now } = await get("/v1/sales", over);
      const figures = await figuresOf(sales, over);
      if (over.aborted) return;
      if (!pressed) show(list, sales, figures, now);
      told = Date.now();
      fresh();
    } catch (error) {
      if (over.aborted) return;
      if (told === null) put(list, alert(error));
      stale("lost", told);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/**
 * @param {HTMLElement} list
 * @param {any[]} sales
 * @param {Map<string, any>} figures
 * @param {string} now
 */
function show(list, sales, figures, now) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.sale;
  put(list, sales.length === 0 ? h("p", { class: "empty card" }, t("sales.none")) :
    inOrder(sales).map((sale) => card(sale, figures.get(sale.id), now)));
  if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-sale="${CSS.escape(focused)}"]`))?.focus();
}

/**
 * @param {any[]} sales
 * @param {AbortSignal} over
 * @returns {Promise<Map<string, any>>}
 */
async function figuresOf(sales, over) {
  const asked = inOrder(sales).filter((sale) => sale.state !== "closed").slice(0, FIGURES_MAX);
  const pairs = await Promise.all(
    asked.map(async (sale) => {
      const stats = await get(`/v1/sales/${sale.id}/stats`, over).catch(() => null);
      return /** @type {const} */ ([sale.id, stats]);
    }),
  );
  return new Map(pairs);
}

/**
 * @param {any[]} sales
 */
function inOrder(sales) {
  const key = (/** @type {any} */ sale) => ORDER.indexOf(sale.state);
  return [...sales].sort((a, b) => key(a) - key(b) || Date.parse(b.created_at) - Date.parse(a.created_at));
}

/**
 * @param {any} sale
 * @param {any} stats
 * @param {string} now
 */
function card(sale, stats, now) {
  const stock = stockOf(sale);
  const opensIn = sale.opens_at ? (Date.parse(sale.opens_at) - Date.parse(now)) / 1000 : 0;
  const figure = (/** @type {string} */ name, /** @type {string} */ value) =>
    h("div", null, h("dt", null, name), h("dd", { class: "number" }, value));
  const alarms = stats ? alarmsOf(stats) : [];
  return h(
    "a",
    { class: "card sale-card", href: `#/sale/${sale.id}`, "data-sale": sale.id },
    h("div", { class: "head" }, h("h2", null, sale.title), state(sale.state)),
    h("p", { class: "fine" }, sale.id,
      opensIn > 0 && ` · ${t("sales.opens-in", { time: lasting(opensIn) })}`,
      sale.closes_at && ` · ${t("sales.closes", { time: moment(sale.closes_at) })}`),
    h("dl", { class: "figures" },
      figure(t("live.waiting"), stats ? count(stats.line.waiting) : "–"),
      figure(t("live.rate-actual"), stats ? t("per-second", { n: perSecond(stats.rate.actual_per_second) }) : "–"),
      figure(t("live.remaining"), t("of", { n: count(sale.remaining), total: count(stock) }))),
    h("meter", { min: 0, max: Math.max(stock, 1), value: sale.remaining, "aria-label": t("live.remaining") }),
    alarms.length > 0 && h("p", { class: "alarms" }, alarms.join(" · ")),
    stats && h("p", { class: "fine" }, t("as-of", { time: clock(stats.now, true) })),
  );
}

/**
 * @param {any} stats
 */
function alarmsOf(stats) {
  return [
    stats.line.stale && t("alarm.silent"),
    stats.missing.length > 0 && t("alarm.missing", { stores: stats.missing.map((/** @type {string} */ store) => named("store", store)).join(", ") }),
    stats.dead_letters > 0 && t("alarm.dead", { n: count(stats.dead_letters) }),
  ].filter((alarm) => typeof alarm === "string");
}

/**
 * A sale's state, told by its word as well as by its colour.
 *
 * @param {string} name
 */
export function state(name) {
  return h("span", { class: `state state-${name}` }, named("state", name));
}

/** One sale, live: every number that says how it goes, and its course over the last minutes or all of it. */

import { askText } from "../parts/api.js";
import { h, put, say } from "../parts/dom.js";
import { count, lasting, percent, perSecond } from "../parts/format.js";
import { stockOf } from "../parts/goods.js";
import { heldBack } from "../parts/law.js";
import { look } from "../parts/node.js";
import { parse } from "../parts/minutes.js";
import { alert } from "../parts/tell.js";
import { named, t } from "../words/words.js";
import { courseCharts, lastCharts } from "./live-charts.js";

const NODE_EVERY_MS = 5_000;
const COURSE_EVERY_MS = 15_000;
const RANGES = /** @type {const} */ ([5, 30, 0]);

/**
 * @param {import("./sale.js").Frame} frame
 * @returns {import("./sale.js").Page}
 */
export function livePage(frame) {
  const over = new AbortController();
  const tiles = new Tiles();
  const orders = h("tbody");
  const stock = h("tbody");
  const last = lastCharts(frame.id);
  const course = courseCharts();
  const chartsOf = h("div", { class: "charts" }, last.elements);
  const trouble = h("div");
  let minutes = 5;
  const ranges = h(
    "div",
    { class: "row segments", role: "group", "aria-label": t("live.range") },
    RANGES.map((one) =>
      h("button", { class: "button", "aria-pressed": String(one === minutes), onclick: (/** @type {Event} */ event) => choose(one, event) },
        one === 0 ? t("live.whole") : t("live.last", { n: one }))),
  );

  /**
   * @param {number} next
   * @param {Event} event
   */
  function choose(next, event) {
    minutes = next;
    for (const button of ranges.children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
    put(chartsOf, minutes === 0 ? course.elements : last.elements);
    if (minutes === 0) void lookBack();
    else last.draw(minutes);
  }

  async function lookBack() {
    try {
      course.draw(parse(await askText("GET", frame.path("/report.csv"), { signal: over.signal })));
      put(trouble);
    } catch (error) {
      if (!over.signal.aborted) put(trouble, alert(error));
    }
  }

  const node = keepLooking(frame, over.signal, tiles);
  const back = setInterval(() => minutes === 0 && void lookBack(), COURSE_EVERY_MS);
  const element = h(
    "div",
    { class: "live" },
    tiles.element,
    h("section", { class: "card", "aria-label": t("live.charts") },
      h("div", { class: "head" }, h("h2", null, t("live.charts")), ranges), chartsOf, trouble),
    h("div", { class: "columns" },
      table(t("live.orders"), [t("live.order-state"), t("live.number")], orders),
      table(t("live.stock"), [t("sku"), t("stock.total"), t("stock.available"), t("stock.held"), t("stock.sold"), t("live.drift")], stock)),
  );
  return {
    element,
    onStats: (stats) => {
      tiles.show(frame, stats);
      put(orders, orderRows(stats));
      put(stock, stats.skus.map(stockRow));
      if (minutes !== 0) last.draw(minutes);
    },
    stop: () => {
      over.abort();
      clearInterval(back);
      clearTimeout(node.timer);
      last.stop();
      course.stop();
    },
  };
}

/**
 * Looks at this node's own numbers every few seconds: what happened between two looks is a rate.
 *
 * @param {import("./sale.js").Frame} frame
 * @param {AbortSignal} over
 * @param {Tiles} tiles
 */
function keepLooking(frame, over, tiles) {
  const state = { timer: 0 };
  /** @type {import("../parts/node.js").Node | null} */
  let before = null;
  const turn = async () => {
    try {
      const now = await look(frame.id, over);
      tiles.showNode(now, before);
      before = now;
    } catch {
      // The figures of this node are left as unknown; that the connection is lost, the stream says.
      if (!over.aborted) tiles.forgetNode();
    }
    if (!over.aborted) state.timer = window.setTimeout(() => void turn(), NODE_EVERY_MS);
  };
  void turn();
  return state;
}

/** The numbers, each with a word on what it means. */
class Tiles {
  constructor() {
    /** @type {Record<string, { element: HTMLElement, value: HTMLElement, note: HTMLElement }>} */
    this.tiles = {};
    this.element = h("dl", { class: "tiles" });
    for (const name of ["waiting", "rate", "remaining", "arrivals", "waits", "back-pressure", "standby", "push", "errors", "drift", "dead", "queue"]) {
      const value = h("dd", { class: "number" }, "–");
      const note = h("dd", { class: "fine" });
      const title = t(/** @type {import("../words/words.js").Key} */ (`live.${name}`));
      const element = h("div", { class: "tile", "data-tile": name }, h("dt", null, title), value, note);
      this.tiles[name] = { element, value, note };
      this.element.append(element);
    }
  }

  /**
   * @param {string} name
   * @param {string} value
   * @param {string} [note]
   * @param {"" | "warn" | "bad"} [mood]
   */
  set(name, value, note = "", mood = "") {
    const tile = this.tiles[name];
    say(tile.value, value);
    say(tile.note, note);
    tile.element.className = `tile ${mood}`;
  }

  /**
   * @param {import("./sale.js").Frame} frame
   * @param {any} stats
   */
  show(frame, stats) {
    const { line, rate, waits, skus } = stats;
    const law = frame.law();
    const held = heldBack(stats, law);
    const total = stockOf(frame.sale);
    const sold = sum(skus, "sold");
    const missing = (/** @type {string} */ store) => stats.missing.includes(store);
    const away = (/** @type {string} */ store) => (missing(store) ? t("live.away", { store: named("store", store) }) : "");
    this.set("waiting", count(line.waiting), line.stale ? t("live.silent") : t("live.serving", { n: count(line.serving), last: count(line.last) }), line.stale ? "bad" : "");
    const nobody = line.waiting > 0 && rate.wanted_per_second > 0 && rate.actual_per_second === 0;
    this.set("rate", perSecond(rate.actual_per_second), t(nobody ? "live.nobody" : "live.wanted", { wanted: perSecond(rate.wanted_per_second), law: perSecond(law) }), nobody ? "warn" : "");
    this.set("remaining", count(stats.remaining), sold === null ? t("of-total", { total: count(total) }) : t("live.sold", { total: count(total), sold: count(sold), held: count(stats.held) }));
    this.set("arrivals", perSecond(stats.arrivals_per_second), t("live.arrivals-note"));
    this.set("waits", lasting(seconds(waits.p50_ms)), t("live.waits-note", { p95: lasting(seconds(waits.p95_ms)) }));
    this.set("back-pressure", held === null ? "–" : held === 0 ? t("live.none") : percent(held), held === null ? t("live.pressure-unknown") : held === 0 ? t("live.pressure-none") : t("live.pressure"), held ? "warn" : "");
    this.set("standby", count(stats.standby), stats.owed === null ? away("ledger") : t("live.owed", { n: count(stats.owed) }));
    this.set("drift", count(stats.drift), away("gate") || t("live.drift-note"), stats.drift > 0 ? "warn" : "");
    this.set("dead", count(stats.dead_letters), away("turns") || t("live.dead-note"), stats.dead_letters > 0 ? "bad" : "");
    this.set("queue", count(stats.turn_queue_depth), away("turns") || t("live.queue-note"));
    this.set("push", count(stats.push_connections));
  }

  /**
   * @param {import("../parts/node.js").Node} now
   * @param {import("../parts/node.js").Node | null} before
   */
  showNode(now, before) {
    const minute = (/** @type {number | null} */ later, /** @type {number | null} */ earlier) =>
      before === null || later === null ? null : (Math.max(0, later - (earlier ?? 0)) * 60_000) / Math.max(now.at - before.at, 1);
    const errors = minute(now.serverErrors, before?.serverErrors ?? null);
    const refusals = minute(now.refusals, before?.refusals ?? null);
    const down = [...now.stores, ...now.providers].filter(([, up]) => !up).map(([name]) => name);
    const note = down.length > 0 ? t("live.down", { names: down.join(", ") }) : now.refusals === null ? t("live.this-node") : t("live.refused", { n: count(refusals) });
    this.set("errors", count(errors), note, (errors ?? 0) > 0 || down.length > 0 ? "bad" : "");
  }

  forgetNode() {
    this.set("errors", "–", t("live.not-here"));
  }
}

/**
 * @param {number | null} ms
 */
function seconds(ms) {
  return ms === null ? null : ms / 1000;
}

/**
 * @param {any[]} skus
 * @param {string} name
 * @returns {number | null}
 */
function sum(skus, name) {
  if (skus.some((sku) => sku.ledger === null)) return null;
  return skus.reduce((all, sku) => all + sku.ledger[name], 0);
}

/**
 * @param {any} stats
 */
function orderRows(stats) {
  if (stats.orders === null) return h("tr", null, h("td", { colspan: 2 }, t("live.away", { store: named("store", "ledger") })));
  const states = ["awaiting_payment", "closing", "paid", "fulfilling", "fulfilled", "closed", "failed", "changing", "refunding", "refunded"];
  const all = [...states, ...Object.keys(stats.orders).filter((name) => !states.includes(name))];
  return all.map((name) =>
    h("tr", null, h("th", { scope: "row" }, named("order", name)), h("td", { class: "number" }, count(stats.orders[name] ?? 0))));
}

/**
 * @param {any} sku
 */
function stockRow(sku) {
  const { ledger } = sku;
  const cell = (/** @type {number | null | undefined} */ number) => h("td", { class: "number" }, count(number));
  return h("tr", null, h("th", { scope: "row" }, sku.sku), cell(ledger?.total), cell(ledger?.available), cell(ledger?.held), cell(ledger?.sold), cell(sku.drift));
}

/**
 * A table that scrolls by itself where the page is narrow. Its columns are numbers after the first, unless they are texts.
 *
 * @param {string} caption
 * @param {string[]} heads
 * @param {HTMLElement} body
 * @param {"numbers" | "texts"} [kind]
 */
export function table(caption, heads, body, kind = "numbers") {
  return h("section", { class: "card" },
    h("h2", null, caption),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
      h("table", null,
        h("thead", null, h("tr", null, heads.map((head, place) => h("th", { scope: "col", class: place === 0 || kind === "texts" ? null : "number" }, head)))),
        body)));
}

/**
 * One sale: its name and state, what can be done to it at once, and below that one of its pages. The frame follows the
 * statistics stream for all of them.
 *
 * @typedef {{ element: HTMLElement, onStats?: (stats: any) => void, onSale?: (sale: any) => void, stop?: () => void }} Page
 */

import { get } from "../parts/api.js";
import { h, put, say } from "../parts/dom.js";
import { fresh, stale } from "../parts/freshness.js";
import { rate } from "../parts/law.js";
import { note } from "../parts/samples.js";
import { alert } from "../parts/tell.js";
import { follow } from "../parts/stream.js";
import { named, t } from "../words/words.js";
import { actions } from "./actions.js";
import { checklistPage } from "./checklist.js";
import { livePage } from "./live.js";
import { noticePage } from "./notice.js";
import { reportPage } from "./report.js";
import { stockPage } from "./stock.js";
import { tunePage } from "./tune.js";

/** @type {Record<string, (frame: Frame) => Page>} */
const PAGES = {
  live: livePage,
  tune: tunePage,
  notice: noticePage,
  stock: stockPage,
  checklist: checklistPage,
  report: reportPage,
};

/**
 * @param {string} id
 * @param {string} tab
 * @returns {import("../main.js").Screen}
 */
export function showSale(id, tab) {
  const frame = new Frame(id, tab in PAGES ? tab : "live");
  void frame.open();
  return { title: id, element: frame.element, stop: () => frame.stop() };
}

export class Frame {
  /**
   * @param {string} id
   * @param {string} tab
   */
  constructor(id, tab) {
    this.id = id;
    this.tab = tab;
    this.over = new AbortController();
    /** @type {any} */
    this.sale = null;
    /** @type {any} */
    this.stats = null;
    /** @type {number | null} */
    this.toldAt = null;
    /** @type {Page | null} */
    this.page = null;
    /** @type {(() => void) | null} */
    this.unfollow = null;
    this.title = h("h1", null, id);
    this.state = h("span", { class: "state" });
    this.fine = h("p", { class: "fine" });
    this.actions = h("div", { class: "row actions" });
    this.body = h("div", { class: "page" }, h("p", { class: "muted" }, t("loading")));
    this.element = h(
      "section",
      null,
      h("div", { class: "head sale-head" },
        h("div", null, h("div", { class: "title" }, this.title, this.state), this.fine),
        this.actions),
      h("nav", { class: "tabs", "aria-label": t("sale.pages") },
        Object.keys(PAGES).map((name) =>
          h("a", { href: `#/sale/${encodeURIComponent(id)}/${name}`, "aria-current": name === this.tab ? "page" : null },
            named("tab", name)))),
      this.body,
    );
  }

  /** The path of something of this sale in the API. @param {string} [rest] */
  path(rest = "") {
    return `/v1/sales/${encodeURIComponent(this.id)}${rest}`;
  }

  async open() {
    try {
      const sale = await get(this.path(), this.over.signal);
      if (this.over.signal.aborted) return;
      this.learn(sale);
      this.page = PAGES[this.tab](this);
      put(this.body, this.page.element);
      this.unfollow = follow(this.id, {
        onStats: (stats) => this.onStats(stats),
        onSilence: (why, detail) => stale(why, this.toldAt, detail),
        onGone: () => put(this.body, h("p", { class: "empty card" }, t("sale.gone"))),
      });
    } catch (error) {
      if (this.over.signal.aborted) return;
      put(this.body, alert(error), h("p", null, h("button", { class: "button", onclick: () => void this.open() }, t("again"))));
    }
  }

  /**
   * The sale as it is now: after a change of ours, or somebody else's.
   *
   * @param {any} sale
   */
  learn(sale) {
    this.sale = sale;
    say(this.title, sale.title);
    document.title = `${sale.title} · Sluice`;
    say(this.fine, t("sale.fine", { id: sale.id, version: sale.version }));
    this.showState(sale.state);
    put(this.actions, actions(this));
    this.page?.onSale?.(sale);
  }

  async reload() {
    this.learn(await get(this.path(), this.over.signal));
  }

  /** Turns per second by the law alone, where the sale stands. */
  law() {
    return this.sale && this.stats ? rate(this.sale.policy, this.stats.remaining) : null;
  }

  /**
   * @param {any} stats
   */
  onStats(stats) {
    this.stats = stats;
    this.toldAt = Date.now();
    fresh();
    note(stats, this.law());
    if (stats.state !== this.sale.state || stats.version !== this.sale.version) {
      // Somebody else has changed it. A failure is made up for by the next frame.
      void this.reload().catch(() => {});
    }
    this.page?.onStats?.(stats);
  }

  /**
   * @param {string} name
   */
  showState(name) {
    this.state.className = `state state-${name}`;
    say(this.state, named("state", name));
  }

  stop() {
    this.over.abort();
    this.unfollow?.();
    this.page?.stop?.();
  }
}

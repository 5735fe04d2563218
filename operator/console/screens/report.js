/** The sale as it went: sums, minutes, the balance and what operators did. It prints as it stands. */

import { askText, get } from "../parts/api.js";
import { h, put } from "../parts/dom.js";
import { clock, count, moment, money } from "../parts/format.js";
import { parse, total } from "../parts/minutes.js";
import { alert } from "../parts/tell.js";
import { named, t } from "../words/words.js";
import { courseCharts } from "./live-charts.js";
import { table } from "./live.js";

/** Rows of the audit log that are looked through for this sale. */
const AUDIT_ROWS = 500;
/** Minutes that are printed one by one; all of them are in the file. */
const MINUTES_SHOWN = 240;
const COLUMNS = /** @type {const} */ (["joined", "reserved", "sold_out", "left", "expired", "refused"]);
const ORDERS = /** @type {const} */ (["orders_paid", "orders_fulfilled", "orders_closed", "orders_failed", "orders_refunded"]);

/**
 * @param {import("./sale.js").Frame} frame
 * @returns {import("./sale.js").Page}
 */
export function reportPage(frame) {
  const over = new AbortController();
  const course = courseCharts();
  const body = h("div", { class: "report" }, h("p", { class: "muted" }, t("loading")));
  const trouble = h("div", { role: "alert" });
  let text = "";
  const show = async () => {
    try {
      const [csv, stats, audit] = await Promise.all([
        askText("GET", frame.path("/report.csv"), { signal: over.signal }),
        get(frame.path("/stats"), over.signal),
        get(`/v1/audit?limit=${AUDIT_ROWS}`, over.signal),
      ]);
      if (over.signal.aborted) return;
      text = csv;
      const minutes = parse(csv);
      put(body, summary(frame.sale, minutes), charts(course), balance(stats), done(frame.id, audit.rows), byMinute(minutes));
      course.draw(minutes);
    } catch (error) {
      if (!over.signal.aborted) put(body, alert(error));
    }
  };
  void show();
  const save = async () => {
    put(trouble);
    try {
      // What stands on the page may be old by now; the file is of this moment.
      text = await askText("GET", frame.path("/report.csv"), { signal: over.signal });
      download(text, `${frame.id}-report.csv`);
    } catch (error) {
      put(trouble, alert(error));
    }
  };
  const element = h("div", null,
    h("div", { class: "row end no-print" },
      h("button", { class: "button", "data-action": "refresh", onclick: () => void show() }, t("report.refresh")),
      h("button", { class: "button", "data-action": "print", onclick: () => window.print() }, t("report.print")),
      h("button", { class: "button primary", "data-action": "csv", onclick: () => void save() }, t("report.csv"))),
    trouble, body);
  return { element, stop: () => { over.abort(); course.stop(); } };
}

/**
 * @param {any} sale
 * @param {import("../parts/minutes.js").Minute[]} minutes
 */
function summary(sale, minutes) {
  const currency = sale.skus[0].currency;
  const figure = (/** @type {string} */ name, /** @type {string} */ value, wide = false) =>
    h("div", { class: wide ? "tile wide" : "tile" }, h("dt", null, name), h("dd", { class: "number" }, value));
  const from = minutes[0]?.at;
  const to = minutes[minutes.length - 1]?.at;
  return h("section", { class: "card" },
    h("h2", null, t("report.title", { sale: sale.title })),
    h("p", { class: "fine" }, t("report.as-of", { time: moment(Date.now()) }),
      from !== undefined && ` · ${t("report.span", { from: moment(from), to: moment(to) })}`),
    minutes.length === 0 && h("p", { class: "muted" }, t("report.nothing")),
    h("dl", { class: "tiles small" },
      [...COLUMNS, ...ORDERS].map((name) => figure(named("report", name.replace("orders_", "")), count(total(minutes, name)))),
      figure(t("report.amount"), money(total(minutes, "paid_amount"), currency), true)));
}

/**
 * @param {ReturnType<typeof courseCharts>} course
 */
function charts(course) {
  return h("section", { class: "card", "aria-label": t("live.charts") }, h("h2", null, t("live.charts")), h("div", { class: "charts" }, course.elements));
}

/**
 * @param {any} stats
 */
function balance(stats) {
  const heads = [t("sku"), t("stock.total"), t("stock.available"), t("stock.held"), t("stock.sold"), t("stock.owed")];
  const rows = stats.skus.map((/** @type {any} */ sku) =>
    h("tr", null, h("th", { scope: "row" }, sku.sku),
      ["total", "available", "held", "sold", "owed"].map((name) => h("td", { class: "number" }, count(sku.ledger?.[name])))));
  return table(t("report.balance"), heads, h("tbody", null, rows));
}

/**
 * @param {string} id
 * @param {any[]} rows
 */
function done(id, rows) {
  const own = rows.filter((row) => row.subject === id).reverse();
  const body = h("tbody", null, own.map((row) =>
    h("tr", null, h("th", { scope: "row" }, moment(row.at)), h("td", null, row.author.name), h("td", null, named("verb", row.verb)),
      h("td", null, row.result === "ok" ? "" : row.result), h("td", null, row.reason ?? ""))));
  return table(t("report.done"), [t("audit.at"), t("audit.who"), t("audit.what"), t("audit.result"), t("audit.reason")], body, "texts");
}

/**
 * @param {import("../parts/minutes.js").Minute[]} minutes
 */
function byMinute(minutes) {
  const seen = minutes.slice(-MINUTES_SHOWN);
  const caption = seen.length < minutes.length ? t("report.last-minutes", { n: seen.length, all: minutes.length }) : t("report.minutes");
  const columns = [...COLUMNS, ...ORDERS];
  const body = h("tbody", null, seen.map((minute) =>
    h("tr", null, h("th", { scope: "row" }, clock(minute.at)), columns.map((name) => h("td", { class: "number" }, count(minute[name]))))));
  return table(caption, [t("report.minute"), ...columns.map((name) => named("report", name.replace("orders_", "")))], body);
}

/**
 * @param {string} text
 * @param {string} name
 */
function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The charts of a sale: of the last minutes from the stream, of the whole sale from its report. */

import { Chart } from "../parts/chart.js";
import { clock, count, lasting, perSecond } from "../parts/format.js";
import { samples } from "../parts/samples.js";
import { t } from "../words/words.js";

const MINUTE_MS = 60_000;
/** Frames come each second: a longer silence is a gap, and no line is drawn over it. */
const GAP_MS = 4_000;
/** No picture is of less. */
const SPAN_MIN_MS = 30_000;

/**
 * @param {string} sale
 */
export function lastCharts(sale) {
  const manner = (/** @type {string} */ title, /** @type {(value: number) => string} */ value) => ({
    title,
    value,
    time: (/** @type {number} */ at) => clock(at, true),
    gap: GAP_MS,
  });
  const line = new Chart(manner(t("live.waiting"), (value) => count(value)));
  const rates = new Chart(manner(t("chart.rates"), perSecond));
  const arrivals = new Chart(manner(t("chart.arrivals"), perSecond));
  const remaining = new Chart(manner(t("live.remaining"), (value) => count(value)));
  const waits = new Chart(manner(t("chart.waits"), lasting));
  const queue = new Chart(manner(t("live.queue"), (value) => count(value)));
  const charts = [line, rates, arrivals, remaining, waits, queue];
  return {
    elements: charts.map((chart) => chart.element),
    stop: () => charts.forEach((chart) => chart.stop()),
    /** @param {number} minutes */
    draw: (minutes) => {
      const kept = samples(sale);
      const to = kept.length > 0 ? kept[kept.length - 1].at : Date.now();
      // While less has been seen, that fills the picture.
      const from = Math.max(to - minutes * MINUTE_MS, Math.min(kept[0]?.at ?? to, to - SPAN_MIN_MS));
      const seen = kept.filter((sample) => sample.at >= from);
      const curve = (/** @type {string} */ name, /** @type {keyof import("../parts/samples.js").Sample} */ key) => ({
        name,
        points: seen.map((sample) => /** @type {const} */ ([sample.at, sample[key]])),
      });
      line.show({ from, to, curves: [curve(t("live.waiting"), "waiting")] });
      rates.show({ from, to, curves: [curve(t("chart.actual"), "actual"), curve(t("chart.wanted"), "wanted"), curve(t("chart.law"), "law")] });
      arrivals.show({ from, to, curves: [curve(t("chart.arrivals"), "arrivals")] });
      remaining.show({ from, to, curves: [curve(t("live.remaining"), "remaining")] });
      queue.show({ from, to, curves: [curve(t("live.queue"), "queue")] });
      waits.show({ from, to, curves: [curve("p50", "p50"), curve("p95", "p95")] });
    },
  };
}

/** A row of the report is a minute in which something happened; the minutes between are of nothing. */
export function courseCharts() {
  const manner = (/** @type {string} */ title) => ({
    title,
    value: (/** @type {number} */ value) => count(value),
    time: (/** @type {number} */ at) => clock(at),
  });
  const reserved = new Chart(manner(t("chart.per-minute")));
  const orders = new Chart(manner(t("chart.orders")));
  const without = new Chart(manner(t("chart.without-goods")));
  const charts = [reserved, orders, without];
  return {
    elements: charts.map((chart) => chart.element),
    stop: () => charts.forEach((chart) => chart.stop()),
    /** @param {import("../parts/minutes.js").Minute[]} minutes */
    draw: (minutes) => {
      const every = filled(minutes);
      const from = every.length > 0 ? every[0].at : Date.now() - MINUTE_MS;
      const to = every.length > 0 ? every[every.length - 1].at + MINUTE_MS : Date.now();
      const curve = (/** @type {string} */ name, /** @type {(minute: import("../parts/minutes.js").Minute) => number} */ read) => ({
        name,
        points: every.map((minute) => /** @type {const} */ ([minute.at, read(minute)])),
      });
      const running = (/** @type {(minute: import("../parts/minutes.js").Minute) => number} */ read) => {
        let sum = 0;
        return (/** @type {import("../parts/minutes.js").Minute} */ minute) => (sum += read(minute));
      };
      reserved.show({ from, to, curves: [curve(t("report.reserved"), (m) => m.reserved)] });
      orders.show({ from, to, curves: [curve(t("report.paid"), running((m) => m.orders_paid)), curve(t("report.closed"), running((m) => m.orders_closed))] });
      without.show({ from, to, curves: [curve(t("chart.without-goods"), (m) => m.sold_out + m.left + m.expired + m.refused)] });
    },
  };
}

/** Most minutes that are drawn one by one: two days. */
const MINUTES_MAX = 2_880;

/**
 * The minutes with those between them, in which nothing happened.
 *
 * @param {import("../parts/minutes.js").Minute[]} minutes
 */
function filled(minutes) {
  if (minutes.length === 0) return [];
  const first = minutes[0].at;
  const span = (minutes[minutes.length - 1].at - first) / MINUTE_MS;
  if (span > MINUTES_MAX) return minutes;
  const known = new Map(minutes.map((minute) => [minute.at, minute]));
  const nothing = { joined: 0, reserved: 0, sold_out: 0, left: 0, expired: 0, refused: 0, orders_paid: 0, paid_amount: 0,
    orders_closed: 0, orders_fulfilled: 0, orders_failed: 0, orders_refunded: 0, currency: "" };
  return Array.from({ length: span + 1 }, (_, place) => {
    const at = first + place * MINUTE_MS;
    return known.get(at) ?? { at, ...nothing };
  });
}

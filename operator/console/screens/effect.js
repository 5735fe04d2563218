/** What a policy would do, beside what the present one does: the answer of a preview, for people. */

import { Chart } from "../parts/chart.js";
import { h } from "../parts/dom.js";
import { clock, count, lasting, percent, perSecond } from "../parts/format.js";
import { t } from "../words/words.js";

/**
 * @param {any} answer
 * @param {boolean} changed whether the form says anything but what is so
 */
export function effect(answer, changed) {
  const { present, patched, assumed } = answer;
  return h("div", null,
    compared(present, changed ? patched : null, ROWS),
    curves(present, changed ? patched : null),
    h("p", { class: "fine" }, t("effect.assumed", {
      remaining: count(assumed.remaining), held: count(assumed.held), waiting: count(assumed.waiting),
      shoppers: count(assumed.shoppers), within: lasting(assumed.within_seconds), units: count(assumed.units_per_turn),
      share: percent(assumed.pay_share), pay: lasting(assumed.pay_within_seconds),
    })));
}

/**
 * The three numbers that matter most, for whoever is about to do it.
 *
 * @param {any} answer
 */
export function summary(answer) {
  return compared(answer.present, answer.patched, ROWS.slice(0, 3));
}

/** @typedef {{ name: import("../words/words.js").Key, read: (one: any) => string }} Row */

/** @type {Row[]} */
const ROWS = [
  { name: "effect.sold-out", read: soldOut },
  { name: "effect.p50", read: (one) => lasting(one.waits_seconds.p50) },
  { name: "effect.p95", read: (one) => lasting(one.waits_seconds.p95) },
  { name: "effect.longest", read: (one) => lasting(one.waits_seconds.max) },
  { name: "effect.line", read: (one) => count(one.longest_line) },
  { name: "effect.orders", read: (one) => count(one.orders) },
  { name: "effect.without", read: (one) => count(one.without) },
];

/**
 * @param {any} present
 * @param {any} patched `null`: nothing is changed
 * @param {Row[]} rows
 */
function compared(present, patched, rows) {
  return h("table", { class: "effect-table" },
    h("thead", null, h("tr", null, h("td"), h("th", { scope: "col" }, t("effect.present")),
      patched && h("th", { scope: "col" }, t("effect.patched")))),
    h("tbody", null, rows.map(({ name, read }) =>
      h("tr", { "data-row": name }, h("th", { scope: "row" }, t(name)), h("td", { class: "tabular" }, read(present)),
        patched && h("td", { class: "tabular strong" }, read(patched))))));
}

/**
 * @param {any} one
 */
function soldOut(one) {
  if (one.sold_out_at === null) return t("effect.never");
  return t("effect.at", { time: clock(one.sold_out_at, true), after: lasting(one.sold_out_seconds) });
}

/**
 * @param {any} present
 * @param {any} patched
 */
function curves(present, patched) {
  const both = [present, patched].filter((one) => one !== null);
  const to = Math.max(...both.map((one) => one.timeline[one.timeline.length - 1]?.seconds ?? 1), 1);
  const manner = (/** @type {string} */ title, /** @type {(value: number) => string} */ value) => new Chart({ title, value, time: lasting });
  const chart = (/** @type {string} */ title, /** @type {(value: number) => string} */ value, /** @type {string} */ key) => {
    const one = manner(title, value);
    one.show({
      from: 0,
      to,
      curves: both.map((course, place) => ({
        name: place === 0 ? t("effect.present") : t("effect.patched"),
        points: course.timeline.map((/** @type {any} */ moment) => [moment.seconds, moment[key]]),
      })),
    });
    return one.element;
  };
  return h("div", null,
    chart(t("live.waiting"), (value) => count(value), "waiting"),
    chart(t("chart.rates"), perSecond, "rate_per_second"),
    chart(t("live.remaining"), (value) => count(value), "remaining"));
}

/** The audit log: who did what, from where, when, and what came of it; and whether its rows still hang together. */

import { get } from "../parts/api.js";
import { h, put } from "../parts/dom.js";
import { count, moment } from "../parts/format.js";
import { alert } from "../parts/tell.js";
import { named, t } from "../words/words.js";

const PAGE_ROWS = 100;

/** @returns {import("../main.js").Screen} */
export function showAudit() {
  const over = new AbortController();
  const body = h("tbody");
  const more = h("div", { class: "row" });
  const chain = h("p", { class: "fine", role: "status" });
  const trouble = h("div", { role: "alert" });
  const filter = /** @type {HTMLInputElement} */ (
    h("input", { id: "audit-filter", type: "search", oninput: () => draw() }));
  /** @type {any[]} */
  let rows = [];
  const draw = () => {
    const wanted = filter.value.trim().toLowerCase();
    const seen = rows.filter((row) =>
      [row.author.name, row.verb, row.subject, row.result, row.reason ?? ""].some((text) => text.toLowerCase().includes(wanted)));
    put(body, seen.map(rowOf).flat());
    // Rows are numbered without gaps, each with the hash of the one before it.
    const broken = rows.findIndex((row, place) => place + 1 < rows.length && row.previous !== rows[place + 1].hash);
    put(chain, rows.length === 0 ? "" : broken < 0 ? t("audit.chain", { n: count(rows.length) }) : t("audit.broken", { id: rows[broken].id }));
    chain.className = broken < 0 ? "fine" : "trouble";
  };
  /** @param {number | null} before */
  const show = async (before) => {
    try {
      const page = await get(`/v1/audit?limit=${PAGE_ROWS}${before === null ? "" : `&before=${before}`}`, over.signal);
      rows = before === null ? page.rows : [...rows, ...page.rows];
      put(trouble);
      put(more, page.next_before !== null && h("button", { class: "button", "data-action": "more", onclick: () => void show(page.next_before) }, t("more")));
      draw();
    } catch (error) {
      if (!over.signal.aborted) put(trouble, alert(error));
    }
  };
  void show(null);
  const heads = ["id", "at", "who", "what", "subject", "result", "reason"];
  const element = h("section", null,
    h("div", { class: "head" }, h("h1", null, t("audit.title")), h("button", { class: "button", onclick: () => void show(null) }, t("refresh"))),
    h("p", { class: "muted" }, t("audit.says")),
    h("p", { class: "field" }, h("label", { for: "audit-filter" }, t("audit.filter")), filter),
    chain, trouble,
    h("div", { class: "card scroll", tabindex: 0, role: "region", "aria-label": t("audit.title") },
      h("table", { class: "audit" },
        h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, t(/** @type {any} */ (`audit.${head}`)))))), body)),
    more);
  return { title: t("audit.title"), element, stop: () => over.abort() };
}

/**
 * A row, and below it what was and what is, folded away.
 *
 * @param {any} row
 */
function rowOf(row) {
  const says = row.before !== null || row.after !== null;
  const cells = [
    h("th", { scope: "row", class: "number" }, String(row.id)),
    h("td", { class: "nowrap" }, moment(row.at)),
    h("td", null, row.author.name, row.author.address && h("span", { class: "fine" }, ` ${row.author.address}`)),
    h("td", null, named("verb", row.verb)),
    h("td", null, row.subject),
    h("td", null, h("span", { class: ["ok", "unchanged"].includes(row.result) ? "" : "bad-word" }, named("result", row.result))),
    h("td", null, row.reason ?? ""),
  ];
  const details = says && h("tr", { class: "folded" }, h("td", { colspan: 7 }, h("details", null, h("summary", null, t("audit.details")),
    h("div", { class: "pair" }, json(t("audit.before"), row.before), json(t("audit.after"), row.after)))));
  return details ? [h("tr", null, cells), details] : [h("tr", null, cells)];
}

/**
 * @param {string} title
 * @param {unknown} value
 */
function json(title, value) {
  return h("div", null, h("h3", null, title), h("pre", null, JSON.stringify(value, null, 2)));
}

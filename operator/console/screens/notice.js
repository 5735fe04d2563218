/** The notice: what the crowd is told, in both languages, as buyers will read it. */

import { ask } from "../parts/api.js";
import { confirm } from "../parts/dialog.js";
import { h, put, say } from "../parts/dom.js";
import { may } from "../parts/session.js";
import { t } from "../words/words.js";

const CHARS_MAX = 500;
const LANGUAGES = /** @type {const} */ ([["en", "English"], ["zh", "中文"]]);

/**
 * @param {import("./sale.js").Frame} frame
 * @returns {import("./sale.js").Page}
 */
export function noticePage(frame) {
  const readOnly = !may("operator") || frame.sale.control === "closed";
  const standing = h("div", { class: "card" });
  const showStanding = () =>
    put(standing, h("h2", null, t("notice.now")),
      frame.sale.notice ? Object.entries(frame.sale.notice).map(([tag, text]) => as(tag, String(text))) : h("p", { class: "muted" }, t("notice.none")));
  showStanding();
  if (readOnly) return { element: standing, onSale: showStanding };

  const notice = frame.sale.notice ?? {};
  const inputs = LANGUAGES.map(([tag, name]) => {
    const seen = as(tag, notice[tag] ?? "");
    const left = h("span", { class: "fine" });
    const area = /** @type {HTMLTextAreaElement} */ (
      h("textarea", { id: `notice-${tag}`, "data-field": `text.${tag}`, lang: tag === "zh" ? "zh-CN" : tag, rows: 3, maxlength: CHARS_MAX, value: notice[tag] ?? "",
        oninput: () => show() }));
    const show = () => {
      say(/** @type {Element} */ (seen.querySelector("p")), area.value || t("notice.empty"));
      say(left, t("notice.left", { n: CHARS_MAX - [...area.value].length }));
    };
    show();
    return { tag, area, element: h("div", { class: "pair" },
      h("p", { class: "field" }, h("label", { for: `notice-${tag}` }, name), area, left), seen) };
  });
  const trouble = h("div", { role: "alert" });
  const form = h(
    "form",
    { class: "card", novalidate: true, onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      void send();
    } },
    h("h2", null, t("notice.title")),
    h("p", { class: "muted" }, t("notice.says")),
    inputs.map((input) => input.element),
    trouble,
    h("div", { class: "row end" },
      h("button", { class: "button", type: "button", "data-action": "take-down", onclick: () => void takeDown() }, t("notice.take-down")),
      h("button", { class: "button primary", type: "submit" }, t("notice.send"))),
  );

  async function send() {
    put(trouble);
    // Texts in other languages were sent by somebody else's hand and are kept.
    const text = { ...frame.sale.notice };
    for (const { tag, area } of inputs) {
      const said = area.value.trim();
      if (said) text[tag] = said;
      else delete text[tag];
    }
    if (Object.keys(text).length === 0) return put(trouble, h("p", { class: "trouble" }, t("notice.nothing")));
    await confirm({
      title: t("notice.confirm"),
      says: [t("notice.everybody"), ...Object.entries(text).map(([tag, one]) => as(tag, String(one)))],
      act: t("notice.send"),
      reason: "asked",
      work: (reason) => change(text, reason, t("notice.done")),
    });
  }

  function takeDown() {
    return confirm({
      title: t("notice.take-down"),
      says: [t("notice.gone")],
      act: t("notice.take-down"),
      reason: "asked",
      work: async (reason) => {
        const told = await change(null, reason, t("notice.down"));
        for (const { area } of inputs) {
          area.value = "";
          area.dispatchEvent(new Event("input"));
        }
        return told;
      },
    });
  }

  /**
   * @param {Record<string, string> | null} text
   * @param {string | undefined} reason
   * @param {string} told
   */
  async function change(text, reason, told) {
    const body = reason ? { text, reason } : { text };
    frame.learn(await ask("POST", frame.path("/notice"), { body, ifMatch: frame.sale.version }));
    return told;
  }

  return { element: h("div", { class: "columns" }, form, standing), onSale: showStanding };
}

/**
 * A notice as it stands on a buyer's page: plain text, in its own direction.
 *
 * @param {string} tag
 * @param {string} text
 */
function as(tag, text) {
  return h("blockquote", { class: "notice", lang: tag }, h("span", { class: "fine" }, tag), h("p", { dir: "auto" }, text));
}

/**
 * What is asked before something is done: what it will do, a reason where the audit log keeps one, and for what cannot be
 * undone the sale's own name, typed.
 */

import { h, put } from "./dom.js";
import { alert, tell } from "./tell.js";
import { t } from "../words/words.js";

/** As long as the API takes. */
const REASON_CHARS_MAX = 500;

let dialogs = 0;

/**
 * @typedef {{ title: string, says: (string | Node)[], act: string, danger?: boolean, reason?: "asked" | "needed",
 *   typed?: string, work: (reason: string | undefined) => Promise<string | void> }} Question
 *   `work` does it and may give what is told when it is done
 */

/**
 * Asks, and does it. Resolves to whether it was done.
 *
 * @param {Question} question
 * @returns {Promise<boolean>}
 */
export function confirm(question) {
  return new Promise((resolve) => {
    const id = `dialog-${(dialogs += 1)}`;
    const trouble = h("div", { role: "alert" });
    const reason = question.reason
      ? h("textarea", {
          id: `${id}-reason`,
          name: "reason",
          rows: 2,
          maxlength: REASON_CHARS_MAX,
          required: question.reason === "needed",
        })
      : null;
    const typed = question.typed
      ? h("input", { id: `${id}-typed`, name: "typed", autocomplete: "off", spellcheck: "false", required: true })
      : null;
    const act = h("button", { class: question.danger ? "button danger" : "button primary", type: "submit" }, question.act);
    const cancel = h("button", { class: "button", type: "button", onclick: () => dialog.close() }, t("cancel"));
    let done = false;
    const form = h(
      "form",
      {
        novalidate: true,
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          const why = /** @type {HTMLTextAreaElement | null} */ (reason)?.value.trim();
          if (question.reason === "needed" && !why) return missing(reason, t("dialog.reason-missing"));
          const name = /** @type {HTMLInputElement | null} */ (typed)?.value.trim();
          if (question.typed && name !== question.typed) {
            return missing(typed, t("dialog.typed-wrong", { name: question.typed }));
          }
          for (const button of [act, cancel]) button.setAttribute("disabled", "");
          try {
            const told = await question.work(why || undefined);
            done = true;
            dialog.close();
            if (told) tell(told);
          } catch (error) {
            put(trouble, alert(error));
            for (const button of [act, cancel]) button.removeAttribute("disabled");
          }
        },
      },
      h("h2", { id: `${id}-title` }, question.title),
      question.says.map((sentence) => (typeof sentence === "string" ? h("p", null, sentence) : sentence)),
      reason &&
        h("p", { class: "field" },
          h("label", { for: `${id}-reason` }, question.reason === "needed" ? t("dialog.reason") : t("dialog.reason-optional")),
          reason),
      typed &&
        h("p", { class: "field" },
          h("label", { for: `${id}-typed` }, t("dialog.typed", { name: question.typed ?? "" })),
          typed),
      trouble,
      h("div", { class: "row end" }, cancel, act),
    );
    const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-labelledby": `${id}-title` }, form));
    /**
     * @param {HTMLElement | null} input
     * @param {string} what
     */
    const missing = (input, what) => {
      put(trouble, h("p", { class: "trouble" }, what));
      input?.setAttribute("aria-invalid", "true");
      input?.focus();
    };
    // What is being done is not given up by a key.
    dialog.addEventListener("cancel", (event) => act.hasAttribute("disabled") && event.preventDefault());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
    document.body.append(dialog);
    dialog.showModal();
    (reason ?? typed ?? cancel).focus();
  });
}


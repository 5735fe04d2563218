/** Saying what was done and what went wrong, to eyes and to screen readers. */

import { Problem } from "./api.js";
import { byId, h, put } from "./dom.js";
import { t } from "../words/words.js";

const TOLD_MS = 6_000;

let timer = 0;

/**
 * What was done, for a few seconds.
 *
 * @param {string} sentence
 */
export function tell(sentence) {
  const place = byId("told");
  put(place, h("p", null, sentence));
  clearTimeout(timer);
  timer = window.setTimeout(() => put(place), TOLD_MS);
}

/**
 * What went wrong, as the API said it: its detail and the field. A console that hides it leaves the operator guessing.
 *
 * @param {unknown} error
 */
export function alert(error) {
  if (!(error instanceof Problem)) {
    console.error(error);
    return h("p", { class: "trouble" }, t("problem.own"));
  }
  if (error.code === "unreachable") return h("p", { class: "trouble" }, t("problem.unreachable"));
  return h(
    "p",
    { class: "trouble" },
    error.detail,
    h("span", { class: "fine" },
      ` ${error.code}`,
      error.field && ` · ${t("problem.field")} ${error.field}`,
      error.instance && ` · ${error.instance}`),
  );
}

/**
 * Marks the input a problem names, if the form has it, and goes there unless somebody is typing.
 *
 * @param {Element} form
 * @param {unknown} error `null` takes the marks away
 * @param {boolean} [go]
 */
export function mark(form, error, go = true) {
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  // One of a list is in the input of the list: `skus[0].seats[3]`.
  const field = error instanceof Problem ? error.field?.replace(/\[\d+\]$/, "") : null;
  if (!field) return;
  // `skus[0].stock`, `skus.stock`, `policy.fraction` and `fraction` name inputs of the same ending.
  const input =
    form.querySelector(`[data-field="${CSS.escape(field)}"]`) ??
    form.querySelector(`[data-field="${CSS.escape(field.replace(/^policy\./, ""))}"]`) ??
    form.querySelector(`[data-field$="${CSS.escape(`.${field.split(".").pop()}`)}"]`);
  if (!(input instanceof HTMLElement)) return;
  input.setAttribute("aria-invalid", "true");
  const folded = input.closest("details");
  if (folded) folded.open = true;
  if (go) input.focus();
}

/**
 * How old the numbers on the screen are. Numbers that are no longer told grow grey, with their age: an operator must never
 * take a picture of a minute ago for the present.
 */

import { byId, h, put, say } from "./dom.js";
import { lasting } from "./format.js";
import { t } from "../words/words.js";

/** @typedef {"lost" | "ledger"} Why */

/** @type {number | null} */
let since = null;
/** @type {Why | null} */
let cause = null;
let timer = 0;

/** The numbers are of now. */
export function fresh() {
  if (since === null) return;
  since = null;
  cause = null;
  clearInterval(timer);
  document.body.classList.remove("stale");
  put(byId("alarm"));
}

/**
 * The numbers are of `at`, and nothing newer comes. Said once to a screen reader; the age goes on for the eye.
 *
 * @param {Why} why
 * @param {number | null} at milliseconds on this machine's clock; `null` when nothing was ever told
 * @param {string} [detail] what the API said, if it said anything
 */
export function stale(why, at, detail = "") {
  if (cause === why) return;
  cause = why;
  since ??= at ?? Date.now();
  const begun = since;
  clearInterval(timer);
  document.body.classList.add("stale");
  const age = h("span", { class: "age", "aria-hidden": "true" });
  const tick = () => say(age, t("stale.age", { age: lasting(Math.max(0, Math.round((Date.now() - begun) / 1000))) }));
  tick();
  timer = window.setInterval(tick, 1_000);
  put(byId("alarm"), h("p", null, why === "lost" ? t("stale.lost") : t("stale.ledger"), " ", detail, " ", age));
}

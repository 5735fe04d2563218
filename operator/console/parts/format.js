/** Numbers, money and times as people of the page's language write them. */

import { t, tag } from "../words/words.js";

/** What stands for a number that is not known. */
export const UNKNOWN = "–";

/**
 * @param {number | null | undefined} number
 * @param {number} [digits] after the point, at most
 */
export function count(number, digits = 0) {
  if (number === null || number === undefined || !Number.isFinite(number)) return UNKNOWN;
  return new Intl.NumberFormat(tag(), { maximumFractionDigits: digits }).format(number);
}

/**
 * A rate: small ones with more digits, because a tail of 0.3 is not 0.
 *
 * @param {number | null | undefined} number
 */
export function perSecond(number) {
  if (number === null || number === undefined) return UNKNOWN;
  return count(number, number >= 100 ? 0 : number >= 10 ? 1 : 2);
}

/**
 * @param {number | null} share 0 to 1
 */
export function percent(share) {
  if (share === null) return UNKNOWN;
  return new Intl.NumberFormat(tag(), { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** Digits after the point of a currency's amounts.
 *
 * @param {string} currency
 */
export function digitsOf(currency) {
  return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
}

/**
 * @param {number} amount in the currency's smallest unit
 * @param {string} currency
 */
export function money(amount, currency) {
  const value = amount / 10 ** digitsOf(currency);
  return new Intl.NumberFormat(tag(), { style: "currency", currency }).format(value);
}

/**
 * How long: `4.2 s`, `12 min 5 s`, `3 h 20 min`.
 *
 * @param {number | null | undefined} seconds
 */
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  const whole = Math.round(seconds);
  if (seconds < 10) return t("time.seconds", { s: count(seconds, 1) });
  if (whole < 60) return t("time.seconds", { s: whole });
  const [minutes, hours] = [Math.floor(whole / 60), Math.floor(whole / 3600)];
  const even = (/** @type {number} */ rest) => (rest === 0 ? "-even" : "");
  if (hours === 0) return t(/** @type {any} */ (`time.minutes${even(whole % 60)}`), { m: minutes, s: whole % 60 });
  if (hours < 48) return t(/** @type {any} */ (`time.hours${even(minutes % 60)}`), { h: hours, m: minutes % 60 });
  return t("time.days", { d: Math.floor(hours / 24), h: hours % 24 });
}

/**
 * A moment, to the second, with its zone: an operator may sit in another one than the shop.
 *
 * @param {string | number} at
 */
export function moment(at) {
  return new Intl.DateTimeFormat(tag(), {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  }).format(new Date(at));
}

/**
 * @param {string | number} at
 * @param {boolean} [seconds]
 */
export function clock(at, seconds = false) {
  return new Intl.DateTimeFormat(tag(), {
    hour: "2-digit",
    minute: "2-digit",
    second: seconds ? "2-digit" : undefined,
    hourCycle: "h23",
  }).format(new Date(at));
}

/**
 * A price as it was typed, in the currency's smallest unit; `null` if it is none. Never through a float.
 *
 * @param {string} text
 * @param {string} currency
 */
export function smallestUnits(text, currency) {
  const digits = digitsOf(currency);
  const match = /^(\d{1,12})(?:\.(\d+))?$/.exec(text.trim());
  if (!match || (match[2] ?? "").length > digits) return null;
  return Number(match[1] + (match[2] ?? "").padEnd(digits, "0"));
}

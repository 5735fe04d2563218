/**
 * The console's languages. A sentence is asked for by its key; what varies stands in braces.
 *
 * @typedef {keyof typeof import("./en.js").default} Key
 */

import en from "./en.js";
import zh from "./zh.js";

const KEY = "sluice.language";

/** @type {Record<string, { tag: string, name: string, words: Record<Key, string> }>} */
export const LANGUAGES = {
  en: { tag: "en", name: "English", words: en },
  zh: { tag: "zh-CN", name: "中文", words: zh },
};

let language = chosen();

/** As it is written in `lang`, and as numbers and times are written. */
export function tag() {
  return LANGUAGES[language].tag;
}

export function current() {
  return language;
}

/**
 * @param {string} next
 */
export function choose(next) {
  language = next in LANGUAGES ? next : "en";
  localStorage.setItem(KEY, language);
}

/**
 * A sentence in the language of the page.
 *
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values) {
  return LANGUAGES[language].words[key].replace(/\{(\w+)\}/g, (_, name) => String(values?.[name] ?? ""));
}

/**
 * The word for something the API names, such as a state; the name itself when it is a new one.
 *
 * @param {string} family
 * @param {string} name
 */
export function named(family, name) {
  const words = /** @type {Record<string, string>} */ (LANGUAGES[language].words);
  return words[`${family}.${name}`] ?? name;
}

function chosen() {
  const kept = localStorage.getItem(KEY);
  if (kept && kept in LANGUAGES) return kept;
  return navigator.languages.find((one) => /^(en|zh)\b/i.test(one))?.slice(0, 2).toLowerCase() ?? "en";
}

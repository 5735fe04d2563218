/** The door: a token, and what is wrong with it. */

import { ask } from "../parts/api.js";
import { h, put } from "../parts/dom.js";
import { begin, keep } from "../parts/session.js";
import { alert } from "../parts/tell.js";
import { t } from "../words/words.js";

/**
 * @param {string} why why the last session ended, if it did not end by itself
 * @param {() => void} onIn
 * @returns {import("../main.js").Screen}
 */
export function showSignIn(why, onIn) {
  const trouble = h("div", { role: "alert" }, why && h("p", { class: "trouble" }, why));
  const input = /** @type {HTMLInputElement} */ (
    h("input", {
      id: "token",
      name: "token",
      type: "password",
      autocomplete: "current-password",
      spellcheck: "false",
      autocapitalize: "off",
      required: true,
      "aria-describedby": "token-help",
    })
  );
  const button = h("button", { class: "button primary", type: "submit" }, t("sign-in"));
  const enter = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const token = input.value.trim();
    if (token === "") return input.focus();
    // A header takes no other characters; the API would never see it.
    if (!/^[\x21-\x7e]+$/.test(token)) return put(trouble, h("p", { class: "trouble" }, t("sign-in.characters")));
    button.setAttribute("disabled", "");
    try {
      const me = await ask("GET", "/v1/me", { bearer: token });
      keep(token);
      begin(me);
      onIn();
    } catch (error) {
      put(trouble, alert(error));
      button.removeAttribute("disabled");
      input.select();
    }
  };
  const element = h(
    "form",
    { class: "door card", novalidate: true, onsubmit: enter },
    h("h1", null, t("sign-in.title")),
    h("p", { class: "muted" }, t("sign-in.says")),
    h("p", { class: "field" }, h("label", { for: "token" }, t("sign-in.token")), input,
      h("span", { class: "fine", id: "token-help" }, t("sign-in.help"))),
    trouble,
    h("div", { class: "row end" }, button),
  );
  return { title: t("sign-in.title"), element };
}

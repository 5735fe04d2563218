/** Dead letters: what could not be worked, why, and what to do with each. */

import { ask, get } from "../parts/api.js";
import { confirm } from "../parts/dialog.js";
import { h, put } from "../parts/dom.js";
import { count, lasting, moment, money } from "../parts/format.js";
import { may } from "../parts/session.js";
import { alert } from "../parts/tell.js";
import { named, t } from "../words/words.js";

/** @returns {import("../main.js").Screen} */
export function showLetters() {
  const over = new AbortController();
  const list = h("div", { class: "stack" }, h("p", { class: "muted" }, t("loading")));
  const more = h("div", { class: "row" });
  /** @param {string | null} after */
  const show = async (after) => {
    try {
      const page = await get(`/v1/dead-letters?limit=50${after ? `&after=${encodeURIComponent(after)}` : ""}`, over.signal);
      const cards = page.letters.map((/** @type {any} */ letter) => card(letter, () => void show(null)));
      if (after) list.append(...cards);
      else put(list, cards.length > 0 ? cards : h("p", { class: "empty card" }, t("letters.none")));
      put(more, page.next_after && h("button", { class: "button", onclick: () => void show(page.next_after) }, t("more")));
    } catch (error) {
      if (!over.signal.aborted) put(list, alert(error));
    }
  };
  void show(null);
  const element = h("section", null,
    h("div", { class: "head" }, h("h1", null, t("letters.title")), h("button", { class: "button", onclick: () => void show(null) }, t("refresh"))),
    h("p", { class: "muted" }, t("letters.says")), list, more);
  return { title: t("letters.title"), element, stop: () => over.abort() };
}

/**
 * @param {any} letter
 * @param {() => void} onDone
 */
function card(letter, onDone) {
  const { turn, callback, foreign } = letter;
  const kind = turn ? "turn" : callback ? "callback" : "foreign";
  const button = (/** @type {string} */ name, /** @type {string} */ style, /** @type {() => Promise<boolean>} */ act) =>
    h("button", { class: `button ${style}`, "data-action": name, onclick: async () => {
      if (await act()) onDone();
    } }, t(/** @type {any} */ (`letter.${name}`)));
  return h("article", { class: "card letter", "data-letter": letter.id },
    h("div", { class: "head" },
      h("h2", null, named("letter-kind", kind), turn && ` · ${turn.sale}`),
      h("span", { class: "fine" }, letter.since ? t("letter.since", { time: moment(letter.since), age: lasting(letter.age_seconds) }) : t("letter.since-unknown"))),
    h("p", { class: "strong" }, letter.reason),
    h("dl", { class: "facts" },
      fact(t("letter.id"), letter.id), fact(t("letter.queue"), letter.queue), fact(t("letter.tries"), count(letter.tries)),
      turn && [fact(t("letter.entry"), turn.entry), fact(t("letter.seq"), count(turn.seq)), fact(t("letter.buyer"), turn.buyer),
        fact(t("letter.items"), turn.items.map((/** @type {any} */ one) => `${one.sku} × ${one.quantity}`).join(", ")),
        fact(t("letter.called"), moment(turn.called_at))],
      callback && [fact(t("letter.order"), callback.order), fact(t("letter.payment"), callback.payment),
        fact(t("letter.status"), `${callback.status} (${callback.version})`), fact(t("report.amount"), money(callback.amount_fen, callback.currency))],
      foreign && [fact(t("letter.bytes"), count(foreign.bytes))]),
    foreign && h("pre", { tabindex: 0 }, foreign.text),
    h("div", { class: "row end" },
      may("operator") && letter.queue !== "unknown" && button("replay", "primary", () => replay(letter)),
      may("operator") && turn && button("refuse", "danger quiet", () => refuse(letter)),
      may("admin") && !turn && button("remove", "danger quiet", () => remove(letter))));
}

/**
 * @param {string} name
 * @param {string} value
 */
function fact(name, value) {
  return h("div", null, h("dt", null, name), h("dd", null, value));
}

/**
 * @param {any} letter
 */
function path(letter) {
  return `/v1/dead-letters/${encodeURIComponent(letter.id)}`;
}

/** @param {any} letter */
function replay(letter) {
  return confirm({
    title: t("letter.replay-title"),
    says: [t("letter.replay-says")],
    act: t("letter.replay"),
    reason: "asked",
    work: async (reason) => {
      await ask("POST", `${path(letter)}/replay`, { body: reason ? { reason } : {} });
      return t("letter.replayed");
    },
  });
}

/** @param {any} letter */
function refuse(letter) {
  return confirm({
    title: t("letter.refuse-title"),
    says: [t("letter.refuse-says", { entry: letter.turn.entry })],
    act: t("letter.refuse"),
    reason: "needed",
    danger: true,
    work: async (reason) => {
      const told = await ask("POST", `${path(letter)}/refuse`, { body: { reason } });
      return t("letter.refused", { outcome: named("outcome", told.outcome) });
    },
  });
}

/** @param {any} letter */
function remove(letter) {
  return confirm({
    title: t("letter.remove-title"),
    says: [t("letter.remove-says")],
    act: t("letter.remove"),
    reason: "needed",
    danger: true,
    work: async (reason) => {
      await ask("DELETE", path(letter), { body: { reason } });
      return t("letter.removed");
    },
  });
}

/** Bans: who is kept out, and why. */

import { ask, get } from "../parts/api.js";
import { confirm } from "../parts/dialog.js";
import { h, put } from "../parts/dom.js";
import { count, moment } from "../parts/format.js";
import { may } from "../parts/session.js";
import { alert, mark } from "../parts/tell.js";
import { named, t } from "../words/words.js";

const KINDS = ["buyer", "cidr", "header"];
/** Bans that are shown; with more, the newest. */
const SHOWN_MAX = 500;

/** @returns {import("../main.js").Screen} */
export function showBans() {
  const over = new AbortController();
  const list = h("div", { class: "stack" }, h("p", { class: "muted" }, t("loading")));
  const show = async () => {
    try {
      const { bans } = await get("/v1/bans", over.signal);
      const newest = [...bans].sort((a, b) => b.id - a.id).slice(0, SHOWN_MAX);
      put(list,
        bans.length > newest.length && h("p", { class: "fine" }, t("bans.newest", { n: count(newest.length), all: count(bans.length) })),
        newest.length === 0 ? h("p", { class: "empty card" }, t("bans.none")) : newest.map((ban) => row(ban, () => void show())));
    } catch (error) {
      if (!over.signal.aborted) put(list, alert(error));
    }
  };
  void show();
  const element = h("section", null,
    h("h1", null, t("bans.title")), h("p", { class: "muted" }, t("bans.says")),
    may("admin") && adding(() => void show()), list);
  return { title: t("bans.title"), element, stop: () => over.abort() };
}

/**
 * @param {any} ban
 */
function whom(ban) {
  if (ban.buyer !== undefined) return { kind: "buyer", value: ban.buyer };
  if (ban.cidr !== undefined) return { kind: "cidr", value: ban.cidr };
  return { kind: "header", value: `${ban.header.name}: ${ban.header.value}` };
}

/**
 * @param {any} ban
 * @param {() => void} onDone
 */
function row(ban, onDone) {
  const { kind, value } = whom(ban);
  const lift = () =>
    confirm({
      title: t("bans.lift-title", { value }),
      says: [t("bans.lift-says")],
      act: t("bans.lift"),
      reason: "asked",
      work: async (reason) => {
        await ask("DELETE", `/v1/bans/${ban.id}`, { reason });
        onDone();
        return t("bans.lifted");
      },
    });
  return h("article", { class: "card ban", "data-ban": ban.id },
    h("div", null, h("h2", null, h("span", { class: "muted" }, named("ban", kind), " "), h("code", null, value)),
      h("p", null, ban.reason ?? t("bans.no-reason")), h("p", { class: "fine" }, moment(ban.at))),
    may("admin") && h("button", { class: "button", "data-action": "lift", onclick: () => void lift() }, t("bans.lift")));
}

/**
 * @param {() => void} onDone
 */
function adding(onDone) {
  const kind = /** @type {HTMLSelectElement} */ (h("select", { id: "ban-kind", onchange: () => choose() }, KINDS.map((one) => h("option", { value: one }, named("ban", one)))));
  const inputs = h("div", { class: "fields" });
  const trouble = h("div", { role: "alert" });
  const input = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ help) =>
    h("p", { class: "field" }, h("label", { for: `ban-${name}` }, label),
      h("input", { id: `ban-${name}`, "data-field": name, autocomplete: "off", spellcheck: "false", autocapitalize: "off", "aria-describedby": `ban-${name}-help` }),
      h("span", { class: "fine", id: `ban-${name}-help` }, help));
  const choose = () => {
    put(trouble);
    if (kind.value === "header") put(inputs, input("header.name", t("bans.header-name"), t("bans.header-help")), input("header.value", t("bans.header-value"), t("bans.exact")));
    else put(inputs, input(kind.value, named("ban", kind.value), kind.value === "cidr" ? t("bans.cidr-help") : t("bans.buyer-help")));
  };
  choose();
  const form = h("form", { class: "card", novalidate: true, onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    void add();
  } },
    h("h2", null, t("bans.add")),
    h("div", { class: "fields" }, h("p", { class: "field" }, h("label", { for: "ban-kind" }, t("bans.kind")), kind)), inputs, trouble,
    h("div", { class: "row end" }, h("button", { class: "button danger", type: "submit" }, t("bans.add"))));
  const add = async () => {
    put(trouble);
    mark(form, null);
    const value = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (inputs.querySelector(`[data-field="${name}"]`)).value.trim();
    const rule = kind.value === "header" ? { header: { name: value("header.name"), value: value("header.value") } } : { [kind.value]: value(kind.value) };
    const told = kind.value === "header" ? `${value("header.name")}: ${value("header.value")}` : value(kind.value);
    if (told.trim() === "" || told.trim() === ":") return put(trouble, h("p", { class: "trouble" }, t("bans.empty")));
    await confirm({
      title: t("bans.confirm", { value: told }),
      says: [t("bans.confirm-says")],
      act: t("bans.add"),
      danger: true,
      reason: "needed",
      work: async (reason) => {
        try {
          await ask("POST", "/v1/bans", { body: { ...rule, reason } });
        } catch (error) {
          mark(form, error, false);
          throw error;
        }
        choose();
        onDone();
        return t("bans.done");
      },
    });
  };
  return form;
}

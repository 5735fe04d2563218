/** What can be done to a sale at once: pause, resume, close, freeze, delete. Each says what it will do. */

import { ask } from "../parts/api.js";
import { confirm } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { count } from "../parts/format.js";
import { may } from "../parts/session.js";
import { forget } from "../parts/samples.js";
import { tell } from "../parts/tell.js";
import { t } from "../words/words.js";

/**
 * The buttons this holder may press now.
 *
 * @param {import("./sale.js").Frame} frame
 */
export function actions(frame) {
  const { control, state } = frame.sale;
  const closed = control === "closed" || state === "closed";
  const button = (/** @type {string} */ name, /** @type {string} */ kind, /** @type {() => unknown} */ act) =>
    h("button", { class: `button ${kind}`, "data-action": name, onclick: () => void act() }, label(name));
  return [
    may("operator") && !closed && control === "running" && button("pause", "primary", () => pause(frame)),
    may("operator") && !closed && control !== "running" && button("resume", "primary", () => resume(frame)),
    may("admin") && !closed && control !== "frozen" && button("freeze", "", () => freeze(frame)),
    may("operator") && !closed && button("close", "danger quiet", () => close(frame)),
    may("admin") && closed && button("delete", "danger quiet", () => remove(frame)),
  ].filter((one) => one instanceof Node);
}

/**
 * @param {string} name
 */
function label(name) {
  return t(/** @type {import("../words/words.js").Key} */ (`act.${name}`));
}

/**
 * @param {import("./sale.js").Frame} frame
 * @param {string} verb
 * @param {string | undefined} reason
 * @param {string} told
 */
async function steer(frame, verb, reason, told) {
  frame.learn(await ask("POST", frame.path(`/${verb}`), { body: reason ? { reason } : {} }));
  return told;
}

/** @param {import("./sale.js").Frame} frame */
function pause(frame) {
  return confirm({
    title: t("pause.title", { sale: frame.sale.title }),
    says: [t("pause.says"), frame.sale.policy.refuse_while_paused ? t("pause.refuses") : t("pause.takes")],
    act: t("act.pause"),
    reason: "asked",
    work: (reason) => steer(frame, "pause", reason, t("pause.done")),
  });
}

/** @param {import("./sale.js").Frame} frame */
function resume(frame) {
  const frozen = frame.sale.control === "frozen";
  return confirm({
    title: t("resume.title", { sale: frame.sale.title }),
    says: [t("resume.says"), frozen ? t("resume.frozen") : ""].filter((one) => one !== ""),
    act: t("act.resume"),
    reason: frozen ? "needed" : "asked",
    danger: frozen,
    work: (reason) => steer(frame, "resume", reason, t("resume.done")),
  });
}

/** @param {import("./sale.js").Frame} frame */
function freeze(frame) {
  return confirm({
    title: t("freeze.title", { sale: frame.sale.title }),
    says: [t("freeze.says"), t("freeze.lift")],
    act: t("act.freeze"),
    reason: "needed",
    danger: true,
    work: (reason) => steer(frame, "freeze", reason, t("freeze.done")),
  });
}

/** @param {import("./sale.js").Frame} frame */
function close(frame) {
  const waiting = frame.stats ? count(frame.stats.line.waiting) : "?";
  return confirm({
    title: t("close.title", { sale: frame.sale.title }),
    says: [t("close.says", { n: waiting }), t("close.orders"), t("close.final")],
    act: t("act.close"),
    reason: "needed",
    typed: frame.sale.id,
    danger: true,
    work: (reason) => steer(frame, "close", reason, t("close.done")),
  });
}

/** @param {import("./sale.js").Frame} frame */
function remove(frame) {
  return confirm({
    title: t("delete.title", { sale: frame.sale.title }),
    says: [t("delete.says"), t("delete.when")],
    act: t("act.delete"),
    reason: "needed",
    typed: frame.sale.id,
    danger: true,
    work: async (reason) => {
      await ask("DELETE", frame.path(), { ifMatch: frame.sale.version, reason });
      frame.stop();
      forget(frame.id);
      location.hash = "#/";
      tell(t("delete.done", { sale: frame.sale.id }));
    },
  });
}

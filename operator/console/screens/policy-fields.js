/**
 * The numbers of a policy as inputs, and back. Ranges are the API's to judge; what stands here only helps to type.
 *
 * @typedef {{ name: string, kind: "number" | "whole" | "yes" | "limit" | string[], first: boolean, min?: number, max?: number }} Field
 */

import { h } from "../parts/dom.js";
import { named, t } from "../words/words.js";

/** @type {Field[]} */
export const FIELDS = [
  { name: "fraction", kind: "number", first: true, min: 0, max: 1 },
  { name: "ceiling_per_second", kind: "number", first: true, min: 0, max: 1e6 },
  { name: "tail_per_second", kind: "number", first: true, min: 0, max: 1e6 },
  { name: "multiplier", kind: "number", first: true, min: 0, max: 1 },
  { name: "line_cap", kind: "whole", first: false, min: 1, max: 1e7 },
  { name: "overflow", kind: ["refuse", "standby"], first: false },
  { name: "standby_cap", kind: "whole", first: false, min: 0, max: 1e7 },
  { name: "on_sold_out", kind: ["settle", "standby"], first: false },
  { name: "refuse_while_paused", kind: "yes", first: false },
  { name: "per_buyer_units", kind: "whole", first: false, min: 1, max: 1_000 },
  { name: "payment_window_seconds", kind: "whole", first: false, min: 1, max: 86_400 },
  { name: "expire_silent_after_seconds", kind: "whole", first: false, min: 0, max: 86_400 },
  { name: "outcome_timeout_seconds", kind: "whole", first: false, min: 1, max: 3_600 },
  ...["per_buyer", "per_device", "per_ip"].flatMap((scope) =>
    ["per_second", "burst"].map(
      (part) => /** @type {Field} */ ({ name: `limits.${scope}.${part}`, kind: "limit", first: false, min: 1, max: 1e6 }),
    ),
  ),
];

/**
 * @param {Field} one
 * @param {any} policy
 * @param {boolean} readOnly
 */
export function field(one, policy, readOnly) {
  const id = `policy-${one.name.replaceAll(".", "-")}`;
  const help = named("help", one.name);
  const described = help === one.name ? null : `${id}-help`;
  const common = { id, "data-field": one.name, disabled: readOnly, "aria-describedby": described };
  const value = at(policy, one.name);
  const label = h("label", { for: id }, named("field", one.name));
  const fine = described && h("span", { class: "fine", id: described }, help);
  if (one.kind === "yes") {
    return h("p", { class: "field check" }, h("input", { ...common, type: "checkbox", checked: value === true }), label, fine);
  }
  if (Array.isArray(one.kind)) {
    const select = h("select", common, one.kind.map((choice) => h("option", { value: choice }, named("choice", choice))));
    /** @type {HTMLSelectElement} */ (select).value = value;
    return h("p", { class: "field" }, label, select, fine);
  }
  const number = { type: "number", min: one.min, max: one.max, step: one.kind === "number" ? "any" : 1, value: String(value ?? ""),
    inputmode: one.kind === "number" ? "decimal" : "numeric", placeholder: one.kind === "limit" ? t("tune.configured") : null };
  return h("p", { class: "field" }, label, h("input", { ...common, ...number }), fine);
}

/**
 * What the form says that the policy does not: the body of a change. An empty number changes nothing; a limit without
 * numbers is taken away.
 *
 * @param {Element} form
 * @param {any} policy
 * @returns {Record<string, any>}
 */
export function read(form, policy) {
  /** @type {Record<string, any>} */
  const patch = {};
  for (const one of FIELDS) {
    const input = /** @type {HTMLInputElement | null} */ (form.querySelector(`[data-field="${one.name}"]`));
    if (!input || one.kind === "limit") continue;
    if (one.kind === "yes") {
      if (input.checked !== policy[one.name]) patch[one.name] = input.checked;
    } else if (Array.isArray(one.kind)) {
      if (input.value !== policy[one.name]) patch[one.name] = input.value;
    } else if (input.value !== "" && Number(input.value) !== policy[one.name]) {
      patch[one.name] = Number(input.value);
    }
  }
  const limits = readLimits(form, policy);
  if (Object.keys(limits).length > 0) patch.limits = limits;
  return patch;
}

/**
 * @param {Element} form
 * @param {any} policy
 */
function readLimits(form, policy) {
  /** @type {Record<string, any>} */
  const limits = {};
  for (const scope of ["per_buyer", "per_device", "per_ip"]) {
    const standing = policy.limits[scope] ?? {};
    /** @type {Record<string, number>} */
    const said = {};
    for (const part of ["per_second", "burst"]) {
      const input = /** @type {HTMLInputElement | null} */ (form.querySelector(`[data-field="limits.${scope}.${part}"]`));
      if (input && input.value !== "") said[part] = Number(input.value);
    }
    const same = ["per_second", "burst"].every((part) => said[part] === standing[part]);
    if (!same) limits[scope] = Object.keys(said).length === 0 ? null : said;
  }
  return limits;
}

/**
 * A patch by the names of the inputs, for people: `limits.per_ip.burst`. A limit that goes has empty ones.
 *
 * @param {Record<string, any>} patch
 * @returns {Record<string, unknown>}
 */
export function shown(patch) {
  /** @type {Record<string, unknown>} */
  const flat = {};
  for (const [name, value] of Object.entries(patch)) {
    if (name !== "limits") {
      flat[name] = value;
      continue;
    }
    for (const [scope, limit] of Object.entries(value)) {
      for (const part of ["per_second", "burst"]) flat[`limits.${scope}.${part}`] = limit?.[part] ?? "";
    }
  }
  return flat;
}

/**
 * @param {any} policy
 * @param {string} path
 */
function at(policy, path) {
  return path.split(".").reduce((value, step) => value?.[step], policy);
}

/**
 * Who works here: the token, kept for as long as the tab lives and never in an address, and what its role may do.
 *
 * @typedef {{ name: string, role: "viewer" | "operator" | "admin", order_backend: "builtin" | "external" }} Me
 */

const KEY = "sluice.token";
const RANKS = ["viewer", "operator", "admin"];

/** @type {Me | null} */
let me = null;
/** @type {(why: string) => void} */
let onEnd = () => {};

export function token() {
  return sessionStorage.getItem(KEY);
}

/** The holder of the token. Throws before anybody has signed in. */
export function holder() {
  if (!me) throw new Error("nobody has signed in");
  return me;
}

/** Whether somebody has signed in. */
export function isIn() {
  return me !== null;
}

/**
 * @param {string} text
 */
export function keep(text) {
  sessionStorage.setItem(KEY, text);
}

/**
 * @param {Me} who
 */
export function begin(who) {
  me = who;
}

/**
 * Forgets the token.
 *
 * @param {string} why what is told at the door; "" when the holder left
 */
export function end(why) {
  sessionStorage.removeItem(KEY);
  me = null;
  onEnd(why);
}

/**
 * @param {(why: string) => void} listener
 */
export function whenItEnds(listener) {
  onEnd = listener;
}

/**
 * Whether the holder may do what `role` may. What is not shown to a role is refused by the API all the same.
 *
 * @param {"viewer" | "operator" | "admin"} role
 */
export function may(role) {
  return me !== null && RANKS.indexOf(me.role) >= RANKS.indexOf(role);
}

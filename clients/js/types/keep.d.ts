/** Where a place is remembered between visits: the browser's own storage, or memory where that is not to be had. */
/** @typedef {import('../types/contract.js').Kept} Kept */
/** @typedef {import('../types/contract.js').Keeper} Keeper */
/**
 * In `localStorage`, shared by all tabs of this origin. Where a browser forbids that, in memory.
 *
 * @param {string} name
 * @returns {Keeper}
 */
export function inBrowser(name: string): Keeper;
/** @returns {Keeper} */
export function inMemory(): Keeper;
export type Kept = import("../types/contract.js").Kept;
export type Keeper = import("../types/contract.js").Keeper;

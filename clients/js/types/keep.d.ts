/** Where a place is remembered between visits: the browser's own storage, or memory where that is not to be had. */
/** @typedef {import('./contract.js').Kept} Kept */
/** @typedef {import('./contract.js').Keeper} Keeper */
/**
 * In `localStorage`, shared by all tabs of this origin. Where a browser forbids that, in memory.
 *
 * @param {string} name
 * @returns {Keeper}
 */
export function inBrowser(name: string): Keeper;
/** @returns {Keeper} */
export function inMemory(): Keeper;
export type Kept = import("./contract.js").Kept;
export type Keeper = import("./contract.js").Keeper;

/** @typedef {import('../types/contract.js').Entry} Entry */
/** @typedef {import('../types/contract.js').Line} Line */
export class Standing {
    /** @param {import('../types/contract.js').Kept | null} [kept] */
    constructor(kept?: import("../types/contract.js").Kept | null);
    /** @type {Entry | null} */
    entry: Entry | null;
    /** The highest `serving` that was seen. */
    seen: number;
    /** @type {number | null} */
    position: number | null;
    /** The position at which it was first seen. @type {number | null} */
    first: number | null;
    wasStandby: boolean;
    /** The version that was reached; an older one is ignored. */
    version: number;
    /**
     * Takes in a look at the entry. Answers whether it counts: an older version does not.
     *
     * @param {Entry} entry
     */
    take(entry: Entry): boolean;
    /**
     * Takes in how the line stands at `nowMs`. Answers `ask` when the line has jumped further than its pace explains:
     * numbers that were never given out may lie in between, so the place must be looked at instead of counted.
     *
     * @param {Line} line
     * @param {number} nowMs
     * @returns {'moved' | 'same' | 'ask'}
     */
    takeLine(line: Line, nowMs: number): "moved" | "same" | "ask";
    #private;
}
export type Entry = import("../types/contract.js").Entry;
export type Line = import("../types/contract.js").Line;

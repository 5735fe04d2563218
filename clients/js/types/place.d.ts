export class Place {
    /**
     * @param {import('./index.js').Sluice} sluice
     * @param {{ entry: string, token: string, tokenExpiresAt: string, kept?: Kept | null }} proof
     */
    constructor(sluice: import("./index.js").Sluice, { entry, token, tokenExpiresAt, kept }: {
        entry: string;
        token: string;
        tokenExpiresAt: string;
        kept?: Kept | null;
    });
    /** @type {Order | null} */
    order: Order | null;
    sluice: import("./index.js").Sluice;
    id: string;
    token: string;
    tokenExpiresAt: number;
    standing: Standing;
    orderLink: string | null;
    /** The newest look at the entry. */
    get entry(): import("../types/contract.js").Entry | null;
    /** Whether it has ended without an order. */
    get isOver(): boolean;
    /** Whether the order is kept here; a shop with an order backend of its own keeps its own, and `orderLink` leads there. */
    get hasOwnOrder(): boolean;
    /**
     * Keeps the place fresh and tells `listener` what becomes of it, until `stop()` or the end.
     *
     * @param {import('../types/contract.js').Listener} listener
     */
    follow(listener: import("../types/contract.js").Listener): void;
    stop(): void;
    /** Looks now, whatever was planned. */
    wake(): void;
    /** @param {AbortSignal} [signal] @returns {Promise<Entry>} */
    look(signal?: AbortSignal): Promise<Entry>;
    /** Gives the place up for good; after `reserved` that cancels the order. */
    leave(): Promise<void>;
    /** @param {AbortSignal} [signal] @returns {Promise<Order>} */
    readOrder(signal?: AbortSignal): Promise<Order>;
    /**
     * Opens a payment, or finds the one that is open. A repeat never opens a second one.
     *
     * @returns {Promise<import('../types/contract.js').Payment>} `pay_url` is absolute
     */
    pay(): Promise<import("../types/contract.js").Payment>;
    /** Gives the order back before it is paid. */
    cancel(): Promise<void>;
    /**
     * A link that takes the place to another device (`sluice.takeOver(ticket)` there), once, within five minutes.
     *
     * @returns {Promise<import('../types/contract.js').MoveOffer>} `link` is absolute
     */
    offerMove(): Promise<import("../types/contract.js").MoveOffer>;
    /** A ticket for Server-Sent Events. @param {AbortSignal} signal @returns {Promise<string>} where they are */
    eventsLink(signal: AbortSignal): Promise<string>;
    /** Where the WebSocket is. */
    get pushLink(): string;
    /** Takes in a look at the entry, from wherever it came. Answers whether it counts. @param {Entry} entry */
    take(entry: Entry): boolean;
    /** A token less than a third of whose 15 minutes is left is old. @param {number} nowMs */
    isTokenOld(nowMs: number): boolean;
    /** Renews the token; several who want that at once share one renewal. @param {AbortSignal} [signal] */
    renew(signal?: AbortSignal): Promise<void>;
    /**
     * Asks with the token, and once more with a fresh one if it has expired.
     *
     * @param {string} method @param {string} link @param {{ body?: unknown, signal?: AbortSignal }} [question]
     */
    ask(method: string, link: string, question?: {
        body?: unknown;
        signal?: AbortSignal;
    }): Promise<any>;
    /** Another tab has written: what it knows better counts here too. @param {Kept} kept */
    takeKept(kept: Kept): void;
    /** Writes down what has to outlive this visit. */
    keep(): void;
    /** Forgets the place on this device. */
    forget(): void;
    #private;
}
export type Entry = import("../types/contract.js").Entry;
export type Order = import("../types/contract.js").Order;
export type Kept = import("../types/contract.js").Kept;
import { Standing } from './standing.js';

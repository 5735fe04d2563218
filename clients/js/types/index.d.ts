/** @typedef {import('../types/contract.js').Sale} Sale */
/**
 * @typedef {object} Options
 * @property {string} sale
 * @property {string} [base] the deployment's address; '' is the origin of the page
 * @property {string} [orders] where orders are kept (`[worker] public_url`), if that is another origin than `base`
 * @property {Record<string, string>} [headers] sent with every request, such as an identity header behind a proxy
 * @property {() => string | undefined} [identity] a JSON Web Token for joining, where the deployment asks for one
 * @property {import('../types/contract.js').Keeper} [keeper] where the place is remembered; the browser's storage by default
 * @property {typeof globalThis.fetch} [fetch]
 * @property {typeof globalThis.WebSocket | null} [WebSocket] `null` goes without
 * @property {() => number} [random] 0 to 1
 */
export class Sluice {
    /** @param {Options} options */
    constructor(options: Options);
    sale: string;
    identity: (() => string | undefined) | undefined;
    random: () => number;
    WebSocket: {
        new (url: string | URL, protocols?: string | string[]): WebSocket;
        prototype: WebSocket;
        readonly CONNECTING: 0;
        readonly OPEN: 1;
        readonly CLOSING: 2;
        readonly CLOSED: 3;
    } | null;
    requests: Requests;
    keeper: import("../types/contract.js").Keeper;
    /** What anybody may know of the sale. Sets our idea of the server's clock. @returns {Promise<Sale>} */
    info(): Promise<Sale>;
    /** The server's clock, in milliseconds since 1970. */
    now(): number;
    /**
     * Joins, or finds the place this buyer has. Tried again for as long as nobody can say what became of it.
     *
     * @param {import('../types/contract.js').Join} wish
     * @param {{ signal?: AbortSignal }} [more]
     */
    join(wish: import("../types/contract.js").Join, { signal }?: {
        signal?: AbortSignal;
    }): Promise<Place>;
    /**
     * Takes a place over from another device, by the ticket of `place.offerMove()`: once. Tried again likewise; a repeat of this
     * call's own finds it done.
     *
     * @param {string} ticket
     * @param {{ signal?: AbortSignal }} [more]
     */
    takeOver(ticket: string, { signal }?: {
        signal?: AbortSignal;
    }): Promise<Place>;
    /**
     * The place that was remembered here, or the one of `entry` that the page's cookie proves; `null` if there is none,
     * or none any more. Throws `moved` where it was taken to another device.
     *
     * @param {{ entry?: string }} [more]
     */
    resume({ entry }?: {
        entry?: string;
    }): Promise<Place | null>;
    #private;
}
export type Sale = import("../types/contract.js").Sale;
export type Options = {
    sale: string;
    /**
     * the deployment's address; '' is the origin of the page
     */
    base?: string | undefined;
    /**
     * where orders are kept (`[worker] public_url`), if that is another origin than `base`
     */
    orders?: string | undefined;
    /**
     * sent with every request, such as an identity header behind a proxy
     */
    headers?: Record<string, string> | undefined;
    /**
     * a JSON Web Token for joining, where the deployment asks for one
     */
    identity?: (() => string | undefined) | undefined;
    /**
     * where the place is remembered; the browser's storage by default
     */
    keeper?: import("../types/contract.js").Keeper | undefined;
    fetch?: typeof fetch | undefined;
    /**
     * `null` goes without
     */
    WebSocket?: {
        new (url: string | URL, protocols?: string | string[]): WebSocket;
        prototype: WebSocket;
        readonly CONNECTING: 0;
        readonly OPEN: 1;
        readonly CLOSING: 2;
        readonly CLOSED: 3;
    } | null | undefined;
    /**
     * 0 to 1
     */
    random?: (() => number) | undefined;
};
import { Place } from './place.js';
import { Problem } from './requests.js';
import { Requests } from './requests.js';
export { Place, Problem };
export { inBrowser, inMemory } from "./keep.js";

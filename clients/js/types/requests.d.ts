/** A refusal (RFC 9457), or `unreachable` when there was no answer at all. */
export class Problem extends Error {
    /**
     * @param {string} code such as `too_many_requests`
     * @param {string} detail
     * @param {{ status?: number, retryAfterMs?: number, field?: string, cause?: unknown }} [more]
     */
    constructor(code: string, detail: string, more?: {
        status?: number;
        retryAfterMs?: number;
        field?: string;
        cause?: unknown;
    });
    code: string;
    /** 0 when there was no answer. */
    status: number;
    /** When it is worth another try, if somebody said. */
    retryAfterMs: number | undefined;
    /** The offending field of the body, if one was named. */
    field: string | undefined;
    /** Whether the same request may do better later. */
    get isPassing(): boolean;
}
/**
 * @typedef {object} Question
 * @property {string} [token]
 * @property {unknown} [body]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */
/** Asks one deployment. */
export class Requests {
    /**
     * @param {string} base
     * @param {typeof globalThis.fetch} fetch
     * @param {Record<string, string>} headers sent with every request
     * @param {string} orders where orders are kept; '' is `base`
     */
    constructor(base: string, fetch: typeof globalThis.fetch, headers: Record<string, string>, orders?: string);
    base: string;
    fetch: typeof fetch;
    headers: Record<string, string>;
    orders: string;
    /** An address of the contract, or a link of an answer, as one that can be fetched. @param {string} link */
    url(link: string): string;
    /**
     * Whether a link leads to the deployment itself, by its origin; what else looks like one of ours is somebody else's, and
     * the token is not for it.
     *
     * @param {string} link
     * @param {string} [self] another link of the deployment, from the same answer
     */
    isOwn(link: string, self?: string): boolean;
    /**
     * Asks, and answers the body.
     *
     * @param {string} method
     * @param {string} link
     * @param {Question} [question]
     * @returns {Promise<any>} `null` when there is none
     */
    ask(method: string, link: string, question?: Question): Promise<any>;
    /**
     * Asks, and answers once the headers are here. Whoever reads the body says `done` when it has been read.
     *
     * @param {string} method
     * @param {string} link
     * @param {Question} question
     * @returns {Promise<[Response, () => void]>}
     */
    open(method: string, link: string, { token, body, headers, signal }: Question): Promise<[Response, () => void]>;
}
export type Question = {
    token?: string | undefined;
    body?: unknown;
    headers?: Record<string, string> | undefined;
    signal?: AbortSignal | undefined;
};

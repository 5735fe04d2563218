/**
 * Waits over a WebSocket.
 *
 * @param {{ WebSocket: typeof globalThis.WebSocket, url: string, token: string, seen: number, signal: AbortSignal, news: News }} way
 * @returns {Promise<Ended>}
 */
export function bySocket({ WebSocket, url, token, seen, signal, news }: {
    WebSocket: typeof globalThis.WebSocket;
    url: string;
    token: string;
    seen: number;
    signal: AbortSignal;
    news: News;
}): Promise<Ended>;
/**
 * Waits over Server-Sent Events. What refuses the connection is thrown as a `Problem`.
 *
 * @param {{ requests: import('./requests.js').Requests, url: string, seen: number, signal: AbortSignal, news: News }} way
 * @returns {Promise<Ended>}
 */
export function byEvents({ requests, url, seen, signal, news }: {
    requests: import("./requests.js").Requests;
    url: string;
    seen: number;
    signal: AbortSignal;
    news: News;
}): Promise<Ended>;
/**
 * How a connection ended: `over` nothing is left to hear, `token` renew it first, `bye` come back after `afterMs`,
 * `crowded` too many of them, `refused` this way will not work, `broken` anything else.
 */
export type Ended = {
    how: "over" | "token" | "bye" | "crowded" | "refused" | "broken";
    afterMs?: number;
    heard: boolean;
};
/**
 * What a connection brings.
 */
export type News = {
    entry(entry: any): void;
    line(line: any): void;
};

/**
 * How long to pause after `tries` failures in a row: what the server told us, and full jitter on top, over a range that
 * doubles with every failure.
 *
 * @param {number} tries 0 for the first
 * @param {number | undefined} toldMs
 * @param {() => number} random 0 to 1
 */
export function pause(tries: number, toldMs: number | undefined, random: () => number): number;
/**
 * When to poll next: not before we were told to, and up to a fifth later.
 *
 * @param {number} toldMs
 * @param {() => number} random
 */
export function pollPause(toldMs: number, random: () => number): number;
/** `Retry-After`: seconds, or a date. @param {string | null} header */
export function retryAfterMs(header: string | null): number | undefined;
/**
 * When to ask again: never before we were told to, never in step with others, and at once when somebody wakes us.
 */
/** The longest wait of our own choosing, in milliseconds. What a server asks for may be longer. */
export const PAUSE_MAX_MS: 15000;
/** Sleeps that can be cut short. */
export class Nap {
    /**
     * Resolves after `ms`, on `wake()`, or when `signal` is aborted; never fails.
     *
     * @param {number} ms
     * @param {AbortSignal} [signal]
     * @returns {Promise<void>}
     */
    sleep(ms: number, signal?: AbortSignal): Promise<void>;
    wake(): void;
    #private;
}

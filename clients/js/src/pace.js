/**
 * When to ask again: never before we were told to, never in step with others, and at once when somebody wakes us.
 */

/** The longest wait of our own choosing, in milliseconds. What a server asks for may be longer. */
export const PAUSE_MAX_MS = 15_000;
/** The first one. */
const PAUSE_FIRST_MS = 500;
/** What a server may ask for at most: beyond it the answer is a mistake, and nobody should wait for hours because of it. */
const TOLD_MAX_MS = 10 * 60_000;

/**
 * How long to pause after `tries` failures in a row: what the server told us, and full jitter on top, over a range that
 * doubles with every failure.
 *
 * @param {number} tries 0 for the first
 * @param {number | undefined} toldMs
 * @param {() => number} random 0 to 1
 */
export function pause(tries, toldMs, random) {
  const range = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** Math.min(tries, 10));
  return Math.min(toldMs ?? 0, TOLD_MAX_MS) + random() * range;
}

/**
 * When to poll next: not before we were told to, and up to a fifth later.
 *
 * @param {number} toldMs
 * @param {() => number} random
 */
export function pollPause(toldMs, random) {
  const told = Math.min(Math.max(toldMs || 0, 250), TOLD_MAX_MS);
  return told * (1 + random() / 5);
}

/** `Retry-After`: seconds, or a date. @param {string | null} header */
export function retryAfterMs(header) {
  if (!header) return undefined;
  const seconds = Number(header);
  const told = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return told >= 0 ? told : undefined;
}

/** Sleeps that can be cut short. */
export class Nap {
  /** @type {Set<() => void>} */
  #sleepers = new Set();

  /**
   * Resolves after `ms`, on `wake()`, or when `signal` is aborted; never fails.
   *
   * @param {number} ms
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  sleep(ms, signal) {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        this.#sleepers.delete(done);
        resolve();
      };
      // Longer timers than this overflow and fire at once.
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
      signal?.addEventListener('abort', done);
      this.#sleepers.add(done);
    });
  }

  wake() {
    for (const done of [...this.#sleepers]) done();
  }
}

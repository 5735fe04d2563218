/**
 * A buyer's way through a Sluice line, for browsers and Node: join, wait, pay, leave.
 *
 *     const sluice = new Sluice({ base: 'https://wait.example', sale: 'drop' });
 *     const place = (await sluice.resume()) ?? (await sluice.join({ items: [{ sku: 'standard', quantity: 1 }] }));
 *     place.follow({ entry: (entry) => show(entry.state, entry.position) });
 *
 * What a deployment refuses is thrown as a `Problem`, with the `code` of the contract.
 */

import { inBrowser } from './keep.js';
import { Nap, pause } from './pace.js';
import { Place } from './place.js';
import { Problem, Requests } from './requests.js';

export { inBrowser, inMemory } from './keep.js';
export { Place, Problem };

/** How often a join, or taking a place over, is tried again when nobody can say what became of it: it finds the place, or makes it. */
const JOIN_TRIES = 6;

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
  /** The server's clock less ours, in milliseconds. */
  #ahead = 0;
  /** How long the request took that told us; a quicker one tells better. */
  #tookMs = Infinity;

  /** @param {Options} options */
  constructor(options) {
    const { sale, base = '' } = options;
    if (!/^[a-z0-9-]{1,63}$/.test(sale)) throw new TypeError('`sale` must match [a-z0-9-]{1,63}');
    this.sale = sale;
    this.identity = options.identity;
    this.random = options.random ?? Math.random;
    this.WebSocket = options.WebSocket === undefined ? globalThis.WebSocket : options.WebSocket;
    const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.requests = new Requests(base.replace(/\/+$/, ''), fetch, options.headers ?? {}, options.orders);
    this.keeper = options.keeper ?? inBrowser(`sluice:${base}:${sale}`);
  }

  /** What anybody may know of the sale. Sets our idea of the server's clock. @returns {Promise<Sale>} */
  async info() {
    const asked = Date.now();
    const sale = await this.requests.ask('GET', `/v1/sales/${this.sale}`);
    this.#setClock(Date.parse(sale.now), asked, Date.now());
    return sale;
  }

  /** The server's clock, in milliseconds since 1970. */
  now() {
    return Date.now() + this.#ahead;
  }

  /**
   * Joins, or finds the place this buyer has. Tried again for as long as nobody can say what became of it.
   *
   * @param {import('../types/contract.js').Join} wish
   * @param {{ signal?: AbortSignal }} [more]
   */
  async join(wish, { signal } = {}) {
    const kept = this.keeper.read();
    const entry = await this.#insist('entries', () => ({ token: this.identity?.() ?? kept?.token, body: wish, signal }));
    return this.#place(entry, kept?.entry === entry.entry ? kept : null);
  }

  /**
   * Takes a place over from another device, by the ticket of `place.offerMove()`: once. Tried again likewise; a repeat of this
   * call's own finds it done.
   *
   * @param {string} ticket
   * @param {{ signal?: AbortSignal }} [more]
   */
  async takeOver(ticket, { signal } = {}) {
    const key = crypto.getRandomValues(new Uint32Array(4)).join('-');
    const question = { body: { ticket }, headers: { 'idempotency-key': key }, signal };
    return this.#place(await this.#insist('move', () => question), null);
  }

  /**
   * Posts for as long as nobody can say what became of it.
   *
   * @param {string} what @param {() => import('./requests.js').Question} question
   */
  async #insist(what, question) {
    const nap = new Nap();
    for (let tries = 0; ; tries += 1) {
      const asked = question();
      const { signal } = asked;
      try {
        return await this.requests.ask('POST', `/v1/sales/${this.sale}/${what}`, asked);
      } catch (error) {
        const again = error instanceof Problem && error.isPassing && error.code !== 'line_full';
        if (!again || tries + 1 >= JOIN_TRIES || signal?.aborted) throw error;
        await nap.sleep(pause(tries, error.retryAfterMs, this.random), signal);
        if (signal?.aborted) throw error;
      }
    }
  }

  /**
   * The place that was remembered here, or the one of `entry` that the page's cookie proves; `null` if there is none,
   * or none any more. Throws `moved` where it was taken to another device.
   *
   * @param {{ entry?: string }} [more]
   */
  async resume({ entry } = {}) {
    const kept = this.keeper.read();
    const id = kept?.entry ?? entry;
    if (!id) return null;
    const proof = { token: kept?.token ?? '', tokenExpiresAt: kept?.tokenExpiresAt ?? '' };
    const place = new Place(this, { ...proof, entry: id, kept });
    try {
      if (!kept) await place.renew();
      await place.look();
      return place;
    } catch (error) {
      const code = error instanceof Problem ? error.code : '';
      if (code === 'moved') {
        place.forget();
        throw error;
      }
      if (['bad_token', 'token_expired', 'wrong_entry', 'no_such_entry', 'no_such_sale'].includes(code)) {
        place.forget();
        return null;
      }
      // Nobody can say just now: the place is still there, and following it will find out.
      if (kept) return place;
      throw error;
    }
  }

  /** @param {any} entry @param {import('../types/contract.js').Kept | null} kept */
  #place(entry, kept) {
    const { entry: id, token, token_expires_at: tokenExpiresAt } = entry;
    const place = new Place(this, { entry: id, token, tokenExpiresAt, kept });
    place.take(entry);
    return place;
  }

  /** @param {number} server @param {number} asked @param {number} answered */
  #setClock(server, asked, answered) {
    const took = answered - asked;
    if (!Number.isFinite(server) || took > this.#tookMs * 2) return;
    this.#tookMs = took;
    this.#ahead = server - (asked + answered) / 2;
  }
}
